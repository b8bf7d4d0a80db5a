package spawn

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const waitBound = 10 * time.Second

func TestMain(m *testing.M) {
	switch os.Getenv("SPAWN_TEST_ROLE") {
	case "report":
		report()
	case "killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "status":
		os.Exit(7)
	}
	os.Exit(m.Run())
}

// report writes arguments, environment and network namespace to descriptor 3,
// and whether descriptor 9, which the parent has open, is open here too.
func report() {
	out := os.NewFile(3, "out")
	namespace, _ := os.Readlink("/proc/self/ns/net")
	_, err := unix.FcntlInt(200, unix.F_GETFD, 0)
	_, _ = io.WriteString(out, strings.Join(os.Args, ",")+"\n"+strings.Join(os.Environ(), ",")+"\n"+
		namespace+"\n200 open: "+strconv.FormatBool(err == nil)+"\n")
	os.Exit(0)
}

// reported runs the report role with start and returns its lines.
func reported(t *testing.T, start func(Program) (int, error)) []string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	pid, err := start(Program{
		Path:        os.Args[0],
		Arguments:   []string{"service", "-x"},
		Environment: []string{"SPAWN_TEST_ROLE=report"},
		Descriptors: []uintptr{0, 1, 2, w.Fd()},
	})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil || status.ExitStatus() != 0 {
		t.Fatalf("child: %v, %s", err, Describe(status))
	}
	return strings.Split(string(text), "\n")
}

func TestStartGivesExactlyWhatItIsTold(t *testing.T) {
	// The runtime of a child opens descriptors of its own from the lowest on.
	if err := unix.Dup3(1, 200, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(200)
	got := reported(t, Start)
	if got[0] != "service,-x" || got[1] != "SPAWN_TEST_ROLE=report" {
		t.Errorf("arguments %q, environment %q", got[0], got[1])
	}
	if got[3] != "200 open: false" {
		t.Error("a descriptor of the parent's is open in the child")
	}
}

func TestNamespace(t *testing.T) {
	var expected string
	n, err := Enter(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		var err error
		expected, err = os.Readlink("/proc/thread-self/ns/net")
		return err
	})
	if errors.Is(err, syscall.EPERM) {
		t.Skip("this user may not make network namespaces")
	}
	if err != nil {
		t.Fatal(err)
	}
	inside, again := reported(t, n.Start), reported(t, n.Start)
	outside := reported(t, Start)
	if inside[2] != expected || again[2] != expected || outside[2] == expected {
		t.Errorf("inside %s and %s, want %s; outside %s, want another", inside[2], again[2], expected, outside[2])
	}
	n.Close()
	n.Close()
	if _, err := n.Start(Program{}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v, want %v", err, ErrClosed)
	}
}

func TestEnterFails(t *testing.T) {
	if _, err := Enter(func() error { return syscall.EPERM }); err != syscall.EPERM {
		t.Errorf("got %v, want EPERM", err)
	}
}

func TestStartFails(t *testing.T) {
	for path, want := range map[string]error{"/nonexistent": syscall.ENOENT, "/etc/passwd": syscall.EACCES} {
		if _, err := Start(Program{Path: path, Arguments: []string{"x"}}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

func TestReaper(t *testing.T) {
	r := NewReaper(4)
	defer r.Close()
	want := make(map[int]string)
	for role, ending := range map[string]string{
		"status": "exited with status 7",
		"killed": "was killed by signal 9 (killed)",
	} {
		pid, err := Start(Program{
			Path:        os.Args[0],
			Arguments:   []string{role},
			Environment: []string{"SPAWN_TEST_ROLE=" + role},
			Descriptors: []uintptr{0, 1, 2},
		})
		if err != nil {
			t.Fatal(err)
		}
		want[pid] = ending
		r.Started()
	}
	for range 2 {
		exit := next(t, r)
		if exit.Err != nil || Describe(exit.Status) != want[exit.PID] {
			t.Errorf("%d %s, want %q (%v)", exit.PID, Describe(exit.Status), want[exit.PID], exit.Err)
		}
		delete(want, exit.PID)
	}
	r.Started() // a lie: there is no other child
	if exit := next(t, r); exit.Err != syscall.ECHILD {
		t.Errorf("without a child: %v, want ECHILD", exit.Err)
	}
}

func next(t *testing.T, r *Reaper) Exit {
	t.Helper()
	select {
	case exit := <-r.Exits():
		return exit
	case <-time.After(waitBound):
		t.Fatal("no exit was told")
		return Exit{}
	}
}
