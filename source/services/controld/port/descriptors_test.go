package port

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nexus/source/libs/svc"
	"nexus/source/libs/virtio/serialdev"
)

// TestMain lets this test binary be a service that opens its port, and fails when a test leaves a goroutine behind.
func TestMain(m *testing.M) {
	if os.Getenv("BE_CONTROLD") != "" {
		svc.Fail(open())
	}
	verify(m)
}

// open is what controld does first.
func open() error {
	service, err := svc.Open()
	if err != nil {
		return err
	}
	config, err := FromDescriptors(service)
	if err != nil {
		return svc.Permanent(err)
	}
	if _, err := Open(config); err != nil {
		return svc.Permanent(err)
	}
	return nil
}

func memory(t *testing.T, size int64, words ...uint32) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("memory", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "memory")
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestDescriptorsSayWhatToDo starts a service with what an operator may get wrong.
func TestDescriptorsSayWhatToDo(t *testing.T) {
	const magic = 0x74726976
	pipe, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer other.Close()
	const all = "window:irq:memory"
	good := memory(t, serialdev.MemoryBytes)
	for _, tc := range []struct {
		name, names         string
		window, irq, memory *os.File
		says                string
	}{
		{"no window", "x:irq:memory", memory(t, 4096), pipe, good, "descriptor window: no such descriptor"},
		{"no interrupt", "window:x:memory", memory(t, 4096), pipe, good, "descriptor irq: no such descriptor"},
		{"no memory", "window:irq:x", memory(t, 4096), pipe, good, "descriptor memory: no such descriptor"},
		{"window is no window", all, memory(t, 16), pipe, good, "no usable register window"},
		{"interrupt is a file", all, memory(t, 4096), memory(t, 16), good, "give an irq descriptor in the manifest"},
		{"memory is short", all, memory(t, 4096), pipe, memory(t, 4096), "correct the manifest"},
		{"wrong address", all, memory(t, 4096), pipe, good, "check the device tree"},
		{"a network card", all, memory(t, 4096, magic, 2, 1), pipe, good, "another kind of device"},
		{"empty slot", all, memory(t, 4096, magic, 2, 0), pipe, good, "virtio-serial-device,bus=virtio-mmio-bus.2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self)
			cmd.Args[0] = "/bin/controld"
			cmd.Env = append(os.Environ(), "BE_CONTROLD=1", "LISTEN_FDS=3", "LISTEN_FDNAMES="+tc.names)
			cmd.ExtraFiles = []*os.File{tc.window, tc.irq, tc.memory}
			out, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			said, err := io.ReadAll(out)
			if err != nil {
				t.Fatal(err)
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != svc.ExitNoRestart {
				t.Errorf("ended with %v, want status %d", err, svc.ExitNoRestart)
			}
			if !strings.HasPrefix(string(said), "controld: ") || !strings.Contains(string(said), tc.says) {
				t.Errorf("said %q, want %q", said, tc.says)
			}
		})
	}
}
