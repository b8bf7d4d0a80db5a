package refused

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCheck(t *testing.T) {
	fails := func(err error) func() error { return func() error { return err } }
	want := []error{unix.ENOENT, unix.EACCES}
	n, err := Check([]Attempt{
		{"a", fails(unix.ENOENT), want},
		{"b", fails(os.NewSyscallError("open", unix.EACCES)), want},
	})
	if n != 2 || err != nil {
		t.Errorf("all refused: %d, %v", n, err)
	}
	n, err = Check([]Attempt{
		{"a", fails(unix.ENOENT), want},
		{"taken", fails(nil), want},
		{"wrong", fails(unix.EMFILE), want},
	})
	if n != 1 || !errors.Is(err, ErrNotRefused) || !strings.Contains(err.Error(), "taken") || !strings.Contains(err.Error(), "wrong") {
		t.Errorf("got %d, %v; want 1, and both others named", n, err)
	}
}

// On a developer's Linux the same attempts are made by the same calls: what is
// not there cannot be opened, and sockets can be made.
func TestAttemptsAskTheSystem(t *testing.T) {
	opens := 0
	for _, a := range Everywhere() {
		if !strings.HasPrefix(a.What, "open /virtio") && !strings.HasPrefix(a.What, "open virtio") {
			continue
		}
		opens++
		if err := a.Try(); !errors.Is(err, unix.ENOENT) {
			t.Errorf("%s: %v", a.What, err)
		}
	}
	if opens != 3 {
		t.Errorf("%d devices tried, want 3", opens)
	}
	for _, a := range Outside() {
		if err := a.Try(); err != nil {
			t.Errorf("%s: %v, but Linux has it", a.What, err)
		}
	}
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(unix.AT_FDCWD, file)(); err != nil {
		t.Errorf("a file that is there: %v", err)
	}
}
