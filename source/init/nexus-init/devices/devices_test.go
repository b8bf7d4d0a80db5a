package devices

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Any directory can stand in for the kernel's as far as opening goes.
func TestKernelOpensByName(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{Window("virtio_mmio@10002000"), "ns/serve"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	directory, err := os.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer directory.Close()
	namespace, err := os.Open(filepath.Join(root, "ns"))
	if err != nil {
		t.Fatal(err)
	}
	defer namespace.Close()

	k := Kernel(directory.Fd())
	for _, open := range []func() (int, error){
		func() (int, error) { return k.Open("virtio_mmio@10002000/window") },
		func() (int, error) { return k.Serve(int(namespace.Fd())) },
	} {
		fd, err := open()
		if err != nil {
			t.Fatal(err)
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor is not close-on-exec: %#x, %v", flags, err)
		}
		unix.Close(fd)
	}
	if _, err := k.Open(IRQ("virtio_mmio@10002000")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("a device that is not there: %v, want ENOENT", err)
	}
	if err := k.Enter(int(namespace.Fd())); err == nil {
		t.Error("entered a namespace that is none")
	}
}
