// Package session replays the sessions that documents show: their commands run for real, with a booted guest, and must print
// what stands there, but for times, sizes and the like (package block says which).
//
//	go test ./tests/session            compares
//	go test ./tests/session -update    writes the blocks anew from what was printed
//
// A block is any of names in the document; each becomes a testscript. A line more in a block is all that a line more takes.
package session

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/tools/txtar"

	"nexus/tests/session/block"
)

var update = flag.Bool("update", false, "write the sessions of the document from what the commands print now")

// documents are those that show sessions.
var documents = []string{"README.md", "docs/bringup/virt_net_v1_2.md"}

const (
	// commandBound is more than any command of a session takes.
	commandBound = 2 * time.Minute
	// stopBound is for the end of a guest that a session left behind.
	stopBound = 20 * time.Second
)

// names are the blocks that a document may have.
var names = []string{"boot", "session", "walk"}

var top string

func TestMain(m *testing.M) {
	var err error
	if top, err = filepath.Abs("../.."); err == nil {
		// So that no session shows what the build says.
		build := exec.Command("make", "-s", "-C", top, "build")
		var out []byte
		if out, err = build.CombinedOutput(); err != nil {
			err = fmt.Errorf("make build: %w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestSession(t *testing.T) {
	for _, document := range documents {
		t.Run(filepath.Base(document), func(t *testing.T) { compare(t, document) })
	}
}

// compare replays the sessions of a document.
func compare(t *testing.T, document string) {
	path := filepath.Join(top, document)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text, found := string(data), 0
	for _, name := range names {
		b, ok, err := block.Find(text, name)
		if err != nil {
			t.Fatalf("%s: %v", document, err)
		}
		if !ok {
			continue
		}
		found++
		printed := replay(t, document, name, b.Commands)
		if *update && !t.Failed() {
			text = b.Replace(text, printed)
		}
	}
	if found == 0 {
		t.Errorf("%s shows no session", document)
	}
	if text != string(data) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// replay runs a session as a testscript and returns what the commands printed.
func replay(t *testing.T, document, name string, commands []block.Command) []block.Command {
	printed := slices.Clone(commands)
	same := func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 2 {
			ts.Fatalf("usage: same FILE NUMBER")
		}
		i, err := strconv.Atoi(args[1])
		ts.Check(err)
		got := lines(ts.ReadFile(args[0]))
		printed[i].Lines = got
		if want := commands[i].Lines; !*update && !slices.Equal(block.Normal(got), block.Normal(want)) {
			ts.Fatalf("%s is not what `%s` prints now; go test ./tests/session -update writes it anew\n%s",
				document, commands[i].Text, differences(block.Normal(got), block.Normal(want)))
		}
	}
	file := filepath.Join(t.TempDir(), name+".txtar")
	if err := os.WriteFile(file, txtar.Format(script(commands)), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Run("replay", func(t *testing.T) { // testscript's own tests are parallel: this waits for them
		testscript.Run(t, testscript.Params{
			Files: []string{file},
			Setup: setup,
			Cmds:  map[string]func(*testscript.TestScript, bool, []string){"same": same},
		})
	})
	return printed
}

// script is the testscript of a session: each command is a file that bash runs at the repository's top.
func script(commands []block.Command) *txtar.Archive {
	a := new(txtar.Archive)
	var text strings.Builder
	text.WriteString("cd $TOP\n")
	for i, c := range commands {
		name := fmt.Sprintf("command-%d", i)
		fmt.Fprintf(&text, "\n# %s\nexec timeout %d bash -euo pipefail -c 'exec 2>&1; . \"$1\"' bash $WORK/%s\nsame stdout %d\n",
			c.Text, int(commandBound.Seconds()), name, i)
		a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(c.Text + "\n")})
	}
	a.Comment = []byte(text.String())
	return a
}

// setup makes the environment an operator's: nx in PATH, the build cache that there is, guests of its own.
func setup(env *testscript.Env) error {
	guests := filepath.Join(env.WorkDir, "run")
	out, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		return err
	}
	caches := strings.Split(string(out), "\n")
	env.Setenv("TOP", top)
	env.Setenv("HOME", os.Getenv("HOME"))
	env.Setenv("GOCACHE", caches[0])
	env.Setenv("GOMODCACHE", caches[1])
	env.Setenv("NEXUS_RUN", guests)
	env.Setenv("PATH", filepath.Join(top, "build")+string(filepath.ListSeparator)+env.Getenv("PATH"))
	env.Defer(func() { stop(guests) })
	return nil
}

// stop ends the guests that a session which failed has left running.
func stop(guests string) {
	left, err := os.ReadDir(guests)
	if err != nil {
		return // it started none
	}
	for _, guest := range left {
		ctx, cancel := context.WithTimeout(context.Background(), stopBound)
		end := exec.CommandContext(ctx, filepath.Join(top, "build", "nx"), "stop", guest.Name())
		end.Env = append(os.Environ(), "NEXUS_RUN="+guests)
		_ = end.Run() // most have ended by themselves
		cancel()
	}
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// differences shows the lines that only one of two printings has.
func differences(got, want []string) string {
	var b bytes.Buffer
	for _, line := range want {
		if !slices.Contains(got, line) {
			fmt.Fprintf(&b, "- %s\n", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			fmt.Fprintf(&b, "+ %s\n", line)
		}
	}
	if b.Len() == 0 {
		return "(the same lines in another order, or another number of them)"
	}
	return b.String()
}
