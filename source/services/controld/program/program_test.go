package program

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nexus/source/libs/svc"
)

// TestMain lets this test binary be controld.
func TestMain(m *testing.M) {
	if os.Getenv("BE_CONTROLD") != "" {
		Main()
		return
	}
	os.Exit(m.Run())
}

func memory(t *testing.T, name string, size int64) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), name)
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return f
}

// window is a register window of dead memory: magic, version, device id.
func window(t *testing.T, registers ...uint32) *os.File {
	t.Helper()
	f := memory(t, "window", 4096)
	var b []byte
	for _, r := range registers {
		b = binary.LittleEndian.AppendUint32(b, r)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return f
}

func pipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r
}

func channelEnd(t *testing.T) *os.File {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[1]) })
	f := os.NewFile(uintptr(fds[0]), "channel")
	t.Cleanup(func() { f.Close() })
	return f
}

// TestStartFailuresSayWhatToDo starts the program with what an operator may get wrong: one line each, and the status that
// says not to try again.
func TestStartFailuresSayWhatToDo(t *testing.T) {
	const magic = 0x74726976
	dma := memory(t, "memory", 16<<20)
	for _, tc := range []struct {
		name  string
		names string
		files []*os.File
		says  string
	}{
		{"started by hand", "", nil, "give it to the service in the manifest"},
		{"no interrupt", "window:memory", []*os.File{window(t, magic, 2, 3), dma}, "descriptor irq: no such descriptor"},
		{"no device", "window:irq:memory:netstackd.0", []*os.File{window(t, magic, 2, 0), pipe(t), dma, channelEnd(t)}, "controld: failed: "},
		{"a file for a channel", "window:irq:memory:netstackd.0", []*os.File{window(t, magic, 2, 3), pipe(t), dma, dma}, "descriptor netstackd.0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Args[0] = "/bin/controld"
			cmd.Env = append(os.Environ(), "BE_CONTROLD=1")
			if tc.names != "" {
				cmd.Env = append(cmd.Env, "LISTEN_FDS="+strconv.Itoa(len(tc.files)), "LISTEN_FDNAMES="+tc.names)
				cmd.ExtraFiles = tc.files
			}
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != svc.ExitNoRestart {
				t.Errorf("ended with %v, want status %d", err, svc.ExitNoRestart)
			}
			got := stderr.String()
			if !strings.HasPrefix(got, "controld: ") || strings.Count(got, "\n") != 1 || !strings.Contains(got, tc.says) {
				t.Errorf("said %q, want one line with %q", got, tc.says)
			}
			if stdout.Len() > 0 {
				t.Errorf("printed %q before anything was true", stdout.String())
			}
		})
	}
}
