// Package guides follows docs/guides word for word: in a copy of the repository it makes the files that a guide makes, applies
// its diffs, runs its commands and compares what they print. A guide that went stale fails with the step that broke.
package guides

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nexus/tests/abi/guest"
	"nexus/tests/guides/guide"
)

const (
	folder = "docs/guides"

	// commandBound is more than any command takes, with nothing in Go's build cache.
	commandBound = 5 * time.Minute
	// tail is how many lines of a command's output a failure shows.
	tail = 40
)

func TestGuides(t *testing.T) {
	guest.Need(t)
	top := guest.Root(t)
	paths, err := filepath.Glob(filepath.Join(top, folder, "*.md"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no guides in %s: %v", folder, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".md"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			steps, err := guide.Parse(string(text))
			if err != nil {
				t.Fatalf("%s: %v", filepath.Base(path), err)
			}
			r := reader{directory: clone(t, top)}
			t.Setenv("NEXUS_RUN", shortDirectory(t))
			for _, s := range steps {
				start := time.Now()
				if err := r.follow(t.Context(), s); err != nil {
					t.Fatalf("%s/%s:%d: %v", folder, filepath.Base(path), s.Line, err)
				}
				if s.Kind == guide.Run {
					t.Logf("%6.2f s  %s", time.Since(start).Seconds(), s.Text)
				}
			}
		})
	}
}

// shortDirectory is a directory for the guests of a guide, whose path has room for a socket's.
func shortDirectory(t *testing.T) string {
	t.Helper()
	path, err := os.MkdirTemp("/tmp", "nx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(path) })
	return path
}

// clone copies the repository's tracked files, as they are in the working tree, to a directory of the test's.
func clone(t *testing.T, top string) string {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z")
	list.Dir = top
	out, err := list.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v: the guides are followed in a copy of the repository's tracked files", err)
	}
	to := t.TempDir()
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		err := copyFile(filepath.Join(top, name), filepath.Join(to, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // removed, but not yet from the index
			t.Fatal(err)
		}
	}
	return to
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, info.Mode().Perm())
}

// reader takes the steps of one guide.
type reader struct {
	directory string // the copy of the repository
}

func (r reader) follow(ctx context.Context, s guide.Step) error {
	switch s.Kind {
	case guide.File:
		return r.make(s)
	case guide.Patch:
		out, err := r.run(ctx, "git apply --whitespace=error -", s.Text)
		if err != nil {
			return fmt.Errorf("the diff does not apply: %w\n%s", err, out)
		}
		return nil
	default:
		return r.command(ctx, s)
	}
}

// make makes a new file.
func (r reader) make(s guide.Step) error {
	path := filepath.Join(r.directory, s.Path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: show a diff", s.Path)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(s.Text)
	return errors.Join(err, f.Close())
}

// command runs a command and compares what it prints.
func (r reader) command(ctx context.Context, s guide.Step) error {
	out, err := r.run(ctx, s.Text, "")
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(out) == 0 {
		lines = nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", s.Text, err, guest.Tail(lines, tail))
	}
	if got, want, ok := guide.Match(lines, s.Want); !ok {
		return fmt.Errorf("%s: printed %q where the guide says %q\n%s", s.Text, got, want, guest.Tail(lines, tail))
	}
	return nil
}

// run gives what a shell command prints.
func (r reader) run(ctx context.Context, command, input string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, commandBound)
	defer cancel()
	c := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", command)
	c.Dir = r.directory
	c.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	c.WaitDelay = 5 * time.Second
	c.Env = environment(r.directory)
	err := c.Run()
	return out.Bytes(), err
}

// environment is that of a reader's shell in the directory.
func environment(directory string) []string {
	// As part of a `make test` these would make the guide's make say that it is a part.
	own := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return name == "MAKEFLAGS" || name == "MAKELEVEL" || name == "MFLAGS"
	})
	return append(own,
		"GOFLAGS="+os.Getenv("GOFLAGS")+" -trimpath",       // Go's build cache does not care then which directory it is
		"GIT_CEILING_DIRECTORIES="+filepath.Dir(directory), // a repository around the copy is none of its business
	)
}
