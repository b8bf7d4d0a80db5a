package rights

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nexus/source/init/nexus-init/devices/devicetest"
	"nexus/source/init/nexus-init/manifest"
)

const text = `{"services": [
	{"name": "driver", "program": "/bin/driver", "ready": "notify", "timeoutMs": 1, "descriptors": [
		{"name": "window", "window": "nic@slot"},
		{"name": "irq", "irq": "nic@slot"},
		{"name": "frames", "dma": 8192},
		{"name": "net.stack", "serve": "nic"}]},
	{"name": "stack", "program": "/bin/stack", "ready": "notify", "timeoutMs": 1, "descriptors": [
		{"name": "nic", "connect": "nic"},
		{"name": "sockets", "sockets": "inet"}]}]}`

func parse(t *testing.T, text string) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// openDescriptors counts the descriptors this process has open.
func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestGrant(t *testing.T) {
	before := openDescriptors(t)
	m := parse(t, text)
	s, err := Prepare(&devicetest.Directory{Nodes: []string{"nic@slot"}}, m)
	if err != nil {
		t.Fatal(err)
	}
	driver, err := s.Grant(&m.Services[0])
	if err != nil {
		t.Fatal(err)
	}
	stack, err := s.Grant(&m.Services[1])
	if err != nil {
		t.Fatal(err)
	}
	if len(driver) != 4 || len(stack) != 2 {
		t.Fatalf("granted %v and %v, want 4 and 2", driver, stack)
	}
	// 6 grants, one refused second owner of the interrupt, one of the namespace.
	if s.Proven() != 8 {
		t.Errorf("proven %d, want 8", s.Proven())
	}
	for _, fd := range append(append([]int{}, driver...), stack...) {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d: %#x, %v, want close-on-exec", fd, flags, err)
		}
	}
	if _, err := unix.Write(stack[0], []byte("asked")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	if n, err := unix.Read(driver[3], buf); string(buf[:n]) != "asked" {
		t.Errorf("the ends of the channel are not joined: %q, %v", buf[:n], err)
	}
	CloseAll(driver)
	CloseAll(stack)
	s.Close()
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors open, %d before", after, before)
	}
}

func TestCloseClosesWhatWasNotHandedOut(t *testing.T) {
	before := openDescriptors(t)
	s, err := Prepare(&devicetest.Directory{}, parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors open, %d before", after, before)
	}
}

func TestGrantRefuses(t *testing.T) {
	node := `{"name": "x", "program": "/x", "ready": "notify", "timeoutMs": 1, "descriptors": [%]}`
	tests := []struct {
		name      string
		directory *devicetest.Directory
		right     string
		want      error
		says      string
	}{
		{"no device", &devicetest.Directory{}, `{"name": "w", "window": "virtio_mmio@10002000"}`,
			ErrNoDevice, "no device virtio_mmio@10002000 in the device tree: boot with"},
		{"window elsewhere", &devicetest.Directory{Nodes: []string{"nic@1"}}, `{"name": "w", "window": "nic@1"}`,
			ErrUnproven, "window of nic@1 is at 0x"},
		{"two owners", &devicetest.Directory{Nodes: []string{"nic"}, Shared: true}, `{"name": "i", "irq": "nic"}`,
			ErrUnproven, "a second owner of the interrupt of nic was not refused"},
		{"two servers", &devicetest.Directory{Shared: true}, `{"name": "s", "sockets": "inet"}`,
			ErrUnproven, "a second server of namespace inet was not refused"},
		{"bad physical address", &devicetest.Directory{Address: 0x1001}, `{"name": "d", "dma": 4096}`,
			ErrUnproven, "DMA memory at 0x1001"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := openDescriptors(t)
			m := parse(t, `{"services": [`+strings.Replace(node, "%", tt.right, 1)+`]}`)
			s, err := Prepare(tt.directory, m)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Grant(&m.Services[0])
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q in it", err, tt.says)
			}
			s.Close()
			if after := openDescriptors(t); after != before {
				t.Errorf("%d descriptors open, %d before", after, before)
			}
		})
	}
}

// An interrupt that somebody holds already is named as such.
func TestGrantBusy(t *testing.T) {
	directory := &devicetest.Directory{Nodes: []string{"nic"}}
	fd, err := directory.Open("nic/irq")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	m := parse(t, `{"services": [{"name": "x", "program": "/x", "ready": "notify", "timeoutMs": 1,
		"descriptors": [{"name": "irq", "irq": "nic"}]}]}`)
	s, err := Prepare(directory, m)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Grant(&m.Services[0]); !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), "held by somebody else") {
		t.Errorf("got %v", err)
	}
}
