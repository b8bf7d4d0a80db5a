package rundir

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test program is also a runner: it makes a guest in the run directory of
// its second argument, says its name, and holds it until its input ends.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "runner" {
		os.Exit(runner(os.Args[2], os.Args[3]))
	}
	os.Exit(m.Run())
}

func runner(root, name string) int {
	r, err := Make(root)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	g, err := r.Create(strings.TrimPrefix(name, "="), State{NIC: "none"})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(g.Name())
	_, _ = io.Copy(io.Discard, os.Stdin)
	err = errors.Join(g.Update(func(s *State) { s.Phase = Ended }), g.Close(false))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// root is a run directory with a path short enough for sockets.
func root(t *testing.T) *Root {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "nx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r, err := Make(filepath.Join(dir, "run"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// process is a runner in a process of its own.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

func start(t *testing.T, r *Root, name string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(self, "runner", r.path, "="+name)}
	p.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin, p.out = stdin, bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	return p
}

// said is the runner's first line: its guest's name, or what is wrong.
func (p *process) said(t *testing.T) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("runner: %v after %q", err, line)
	}
	return strings.TrimSpace(line)
}

// end lets the runner end its guest.
func (p *process) end(t *testing.T) {
	t.Helper()
	p.stdin.Close()
	rest, _ := io.ReadAll(p.out)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("runner: %v: %s", err, rest)
	}
}

// phases lists the guests with their phases.
func phases(t *testing.T, r *Root) string {
	t.Helper()
	guests, err := r.List()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, g := range guests {
		all = append(all, g.Name+" "+string(g.Phase))
	}
	return strings.Join(all, ", ")
}

func TestLife(t *testing.T) {
	r := root(t)
	g, err := r.Create("", State{NIC: "wire", Memory: 128})
	if err != nil {
		t.Fatal(err)
	}
	if got := phases(t, r); got != "g1 booting" {
		t.Errorf("got %q", got)
	}
	err = g.Update(func(s *State) {
		s.Phase, s.QEMU, s.Verdict = Standing, os.Getpid(), &Verdict{Proven: true, Markers: 3}
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := r.Select("")
	if err != nil || info.Name != "g1" || info.Phase != Standing || info.PID != os.Getpid() || info.NIC != "wire" ||
		info.Memory != 128 || !info.Verdict.Proven || info.Path(ConsoleFile) != g.Path(ConsoleFile) || time.Since(info.Started) > time.Hour {
		t.Errorf("got %+v, %v", info, err)
	}
	if _, err := os.Stat(info.Path(ConsoleFile)); err != nil {
		t.Error(err)
	}
	if err := errors.Join(g.Update(func(s *State) { s.Phase = Ended }), g.Close(false)); err != nil {
		t.Fatal(err)
	}
	if got := phases(t, r); got != "g1 ended" {
		t.Errorf("got %q", got)
	}
	if _, err := r.Select("g1"); !errors.Is(err, ErrEnded) {
		t.Errorf("an ended guest: %v", err)
	}
	if _, err := r.Find("g1"); err != nil {
		t.Errorf("an ended guest is not found: %v", err)
	}
	g, err = r.Create("g1", State{})
	if err != nil {
		t.Fatal(err)
	}
	if got := phases(t, r); got != "g1 booting" {
		t.Errorf("replaced: got %q", got)
	}
	if err := g.Close(true); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(r.path)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestSelect(t *testing.T) {
	r := root(t)
	if _, err := r.Select(""); !errors.Is(err, ErrNoGuest) || err.Error() != "no guest is running: start one with nx boot --stay" {
		t.Errorf("none: %v", err)
	}
	if _, err := r.Select("g1"); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "there is none in "+r.path) {
		t.Errorf("none, by name: %v", err)
	}
	for _, name := range []string{"b", "a"} {
		g, err := r.Create(name, State{})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close(true)
	}
	if _, err := r.Select(""); !errors.Is(err, ErrSeveral) || err.Error() != "several guests are running (b, a): say which with --guest NAME" {
		t.Errorf("two: %v", err)
	}
	if _, err := r.Select("c"); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "there is b, a") {
		t.Errorf("another: %v", err)
	}
	if info, err := r.Select("a"); err != nil || info.Name != "a" {
		t.Errorf("by name: %v, %v", info, err)
	}
	if _, err := r.Select("../a"); !errors.Is(err, ErrName) {
		t.Errorf("no name: %v", err)
	}
}

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{
		"g1": true, "-": true, strings.Repeat("a", MaxName): true,
		"": false, strings.Repeat("a", MaxName+1): false, "G1": false, "a/b": false, "..": false, "a b": false, "a\n": false, ".new-1": false,
	} {
		if err := CheckName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Many runners start at once: each has a name of its own, and all are seen.
func TestSideBySide(t *testing.T) {
	r := root(t)
	const n = 12
	var runners []*process
	for range n {
		runners = append(runners, start(t, r, ""))
	}
	seen := map[string]bool{}
	for _, p := range runners {
		seen[p.said(t)] = true
	}
	if len(seen) != n {
		t.Errorf("%d runners have the names %v", n, seen)
	}
	if guests, err := r.Running(); err != nil || len(guests) != n {
		t.Errorf("%d run, %v: %s", len(guests), err, phases(t, r))
	}
	for _, p := range runners {
		p.end(t)
	}
	guests, err := r.List()
	if err != nil || len(guests) != Kept {
		t.Errorf("%d are kept, %v: %s", len(guests), err, phases(t, r))
	}
	for _, g := range guests {
		if g.Phase != Ended {
			t.Errorf("%s is %s", g.Name, g.Phase)
		}
	}
}

func TestInUse(t *testing.T) {
	r := root(t)
	p := start(t, r, "one")
	if got := p.said(t); got != "one" {
		t.Fatal(got)
	}
	_, err := r.Create("one", State{})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), fmt.Sprintf("of process %d", p.cmd.Process.Pid)) {
		t.Errorf("got %v", err)
	}

	// Of two that want the name of a guest that ended, one gets it.
	p.end(t)
	a, b := start(t, r, "one"), start(t, r, "one")
	says := a.said(t) + "|" + b.said(t)
	if !strings.HasPrefix(says, "one|the name is in use") && !(strings.HasPrefix(says, "the name is in use") && strings.HasSuffix(says, "|one")) {
		t.Errorf("two at once: %s", says)
	}
}

// A runner that is killed leaves a guest that died, and its name.
func TestKilled(t *testing.T) {
	r := root(t)
	p := start(t, r, "")
	p.said(t)
	info, err := r.Select("")
	if err != nil {
		t.Fatal(err)
	}
	held, err := info.Runner()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if ended, err := held.Wait(0); ended || err != nil {
		t.Errorf("it ended: %v, %v", ended, err)
	}
	if err := held.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if ended, err := held.Wait(30 * time.Second); !ended || err != nil {
		t.Fatalf("it lives: %v, %v", ended, err)
	}
	if got := phases(t, r); got != "g1 died" {
		t.Errorf("got %q", got)
	}
	if _, err := info.Runner(); !errors.Is(err, ErrEnded) {
		t.Errorf("its runner: %v", err)
	}
	if _, err := r.Select(""); !errors.Is(err, ErrNoGuest) {
		t.Errorf("select: %v", err)
	}
	if g, err := r.Create("g1", State{}); err != nil {
		t.Errorf("its name: %v", err)
	} else if err := g.Close(true); err != nil {
		t.Error(err)
	}
}

// A runner whose folder was removed by hand leaves alone the guest that has its
// name now.
func TestTakenAway(t *testing.T) {
	r := root(t)
	old, err := r.Create("one", State{NIC: "old"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(r.path, "one")); err != nil {
		t.Fatal(err)
	}
	g, err := r.Create("one", State{NIC: "new"})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close(true)
	if err := old.Update(func(s *State) { s.Phase = Ended }); !errors.Is(err, ErrDirectory) {
		t.Errorf("update: %v", err)
	}
	if err := old.Close(true); !errors.Is(err, ErrDirectory) {
		t.Errorf("close: %v", err)
	}
	if info, err := r.Find("one"); err != nil || info.NIC != "new" || info.Phase != Booting {
		t.Errorf("got %+v, %v", info, err)
	}
}

// What was left half made or half removed is cleaned away by the next.
func TestLeftovers(t *testing.T) {
	r := root(t)
	for _, name := range []string{".new-1", ".old-2"} {
		if err := os.Mkdir(filepath.Join(r.path, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(r.path, "stranger"), 0o700); err != nil {
		t.Fatal(err)
	}
	g, err := r.Create("", State{})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close(true)
	entries, err := os.ReadDir(r.path)
	if err != nil || len(entries) != 2 || entries[0].Name() != "g1" || entries[1].Name() != "stranger" {
		t.Errorf("got %v, %v", entries, err)
	}
	if got := phases(t, r); got != "g1 booting" {
		t.Errorf("got %q", got)
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	check := errors.Join(
		os.Mkdir(path("open"), 0o755), os.Chmod(path("open"), 0o755),
		os.WriteFile(path("file"), nil, 0o600),
		os.Mkdir(path("real"), 0o700), os.Symlink("real", path("link")))
	if check != nil {
		t.Fatal(check)
	}
	for name, says := range map[string]string{
		"open":       "is open to others (mode 0755): run `chmod 700 " + path("open") + "`",
		"file":       "is not a directory",
		"link":       "is not a directory",
		"nowhere/in": "cannot be made: mkdir",
	} {
		if _, err := Make(path(name)); !errors.Is(err, ErrDirectory) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "$NEXUS_RUN") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path("real"), 12345, -1); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path("real")); !errors.Is(err, ErrDirectory) || !strings.Contains(err.Error(), "belongs to user 12345, not to 0") {
			t.Errorf("another's: %v", err)
		}
	}
	long := path(strings.Repeat("l", 100))
	r, err := Make(long)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Create("", State{}); !errors.Is(err, ErrDirectory) || !strings.Contains(err.Error(), "too long for unix sockets") {
		t.Errorf("a long path: %v", err)
	}
	if left, err := os.ReadDir(long); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A run directory that cannot be written says so. To root nothing is forbidden,
// so there it is gone instead.
func TestUnwritable(t *testing.T) {
	r := root(t)
	spoil := os.Chmod(r.path, 0o500)
	if os.Geteuid() == 0 {
		spoil = os.RemoveAll(r.path)
	}
	if spoil != nil {
		t.Fatal(spoil)
	}
	_, err := r.Create("", State{})
	if !errors.Is(err, ErrDirectory) || !strings.Contains(err.Error(), r.path+" cannot be written: ") || !strings.Contains(err.Error(), "$NEXUS_RUN") {
		t.Errorf("got %v", err)
	}
}

func TestDefault(t *testing.T) {
	mine := t.TempDir()
	for _, tc := range []struct{ nexus, xdg, want string }{
		{"/x/y", mine, "/x/y"},
		{"", mine, mine + "/nexus"},
		{"", "/nowhere", fmt.Sprintf("/tmp/nexus-%d", os.Geteuid())},
		{"", "", fmt.Sprintf("/tmp/nexus-%d", os.Geteuid())},
	} {
		t.Setenv(Environment, tc.nexus)
		t.Setenv("XDG_RUNTIME_DIR", tc.xdg)
		if got := Default(); got != tc.want {
			t.Errorf("%+v: got %s", tc, got)
		}
	}
	if r, err := Open(filepath.Join(mine, "none")); err != nil {
		t.Error(err)
	} else if guests, err := r.List(); err != nil || len(guests) != 0 {
		t.Errorf("no directory: %v, %v", guests, err)
	}
	if _, err := os.Stat(filepath.Join(mine, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reading made it: %v", err)
	}
}

// A guest.json that somebody spoiled never becomes a process to signal.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"name":"g1","phase":"booting","pid":100,"qemu_pid":101,"started":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"phase":"ended","pid":-1}`))
	f.Add([]byte(`{"phase":"standing","pid":0}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseState(data)
		if err == nil && (s.PID <= 1 || s.QEMU < 0 || s.QEMU == 1) {
			t.Errorf("accepted %+v", s)
		}
	})
}
