package program

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nexus/source/libs/frameq"
	"nexus/source/libs/svc"
)

// TestMain lets this test binary be virtionetd.
func TestMain(m *testing.M) {
	if os.Getenv("BE_VIRTIONETD") != "" {
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
	fds := make([]int, 2)
	if err := unix.Pipe2(fds, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[1]) })
	f := os.NewFile(uintptr(fds[0]), "pipe")
	t.Cleanup(func() { f.Close() })
	return f
}

// TestStartFailuresSayWhatToDo starts the program with what an operator may get
// wrong: one line each, and the status that says not to try again.
func TestStartFailuresSayWhatToDo(t *testing.T) {
	const magic = 0x74726976
	rings, frames := memory(t, "rings", 64<<10), memory(t, "frames", frameq.PoolSize)
	for _, tc := range []struct {
		name   string
		names  string
		window *os.File
		says   string
	}{
		{"started by hand", "", nil, "give it to the service in the manifest"},
		{"no interrupt", "window:x:rings:frames", window(t, magic, 2, 1), "descriptor irq: no such descriptor"},
		{"window is no window", "window:irq:rings:frames", memory(t, "window", 16), "no usable register window"},
		{"wrong address", "window:irq:rings:frames", window(t), "check the device tree"},
		{"no NIC", "window:irq:rings:frames", window(t, magic, 2, 0), "bus=virtio-mmio-bus.1"},
		{"legacy NIC", "window:irq:rings:frames", window(t, magic, 1, 1), "-global virtio-mmio.force-legacy=false"},
		{"a disk", "window:irq:rings:frames", window(t, magic, 2, 2), "another kind of device"},
		{"NIC without a MAC", "window:irq:rings:frames", window(t, magic, 2, 1), "mac=02:00:00:00:00:01"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self)
			cmd.Args[0] = "/bin/virtionetd"
			cmd.Env = append(os.Environ(), "BE_VIRTIONETD=1")
			if tc.names != "" {
				cmd.Env = append(cmd.Env, "LISTEN_FDS=4", "LISTEN_FDNAMES="+tc.names)
				cmd.ExtraFiles = []*os.File{tc.window, pipe(t), rings, frames}
			}
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err = cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != svc.ExitNoRestart {
				t.Errorf("ended with %v, want status %d", err, svc.ExitNoRestart)
			}
			got := stderr.String()
			if !strings.HasPrefix(got, "virtionetd: ") || strings.Count(got, "\n") != 1 || !strings.Contains(got, tc.says) {
				t.Errorf("said %q, want one line with %q", got, tc.says)
			}
			if stdout.Len() > 0 {
				t.Errorf("printed %q before anything was true", stdout.String())
			}
		})
	}
}
