package device

import (
	"encoding/binary"
	"os/exec"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/plic"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/user/usertest"
	"nexus/source/libs/fdt"
)

const nicIRQ = 2

// fakePLIC acts as the controller does for one context: an enabled pending source can be claimed once until it is completed,
// and a completion of a source that is not enabled is ignored (PLIC specification, chapter 9).
type fakePLIC struct {
	enabled, pending, claimed uint32
}

const (
	enableAt = 0x2000
	claimAt  = 0x200004
)

func (f *fakePLIC) Load(addr uintptr) uint32 {
	switch addr {
	case enableAt:
		return f.enabled
	case claimAt:
		for i := range uint32(32) {
			if f.pending&f.enabled&^f.claimed&(1<<i) != 0 {
				f.claimed |= 1 << i
				f.pending &^= 1 << i
				return i
			}
		}
	}
	return 0
}

func (f *fakePLIC) Store(addr uintptr, v uint32) {
	switch addr {
	case enableAt:
		f.enabled = v
	case claimAt:
		f.claimed &^= f.enabled & (1 << v)
	}
}

// interrupt does what the kernel's trap does.
func interrupt() {
	for s := plic.Claim(); s != 0; s = plic.Claim() {
		plic.Complete(s)
		if !Interrupt(s) {
			plic.Mask(s)
		}
	}
}

func setup(t *testing.T) *fakePLIC {
	t.Helper()
	out, err := exec.Command("dtc", "-q", "-I", "dts", "-O", "dtb", "../../../../../pkg/dts/virt-nexus.dts").Output()
	if err != nil {
		t.Fatal("dtc (make setup installs it): ", err)
	}
	var tree fdt.Tree
	if code := tree.Open(out); code != fdt.OK {
		t.Fatal(code)
	}
	mem.InitHost(128, 32)
	clear(memories[:])
	f := &fakePLIC{}
	arch.Host.Device = f
	plic.Init(0, 0)
	// The kernel keeps the first 1 MiB of devices and the serial port for itself here.
	if n, left := Scan(&tree, []mem.Range{{Start: 0, End: 0x10001000}}); n == 0 || left != 0 {
		t.Fatalf("%d devices listed, %d left out", n, left)
	}
	return f
}

func open(t *testing.T, name string) file.Object {
	t.Helper()
	o, err := Open([]byte(name))
	if err != abi.OK {
		t.Fatalf("open %s: %d", name, err)
	}
	return o
}

func TestNames(t *testing.T) {
	setup(t)
	for name, want := range map[string]abi.Errno{
		"fdt":                                abi.OK,
		"processes":                          abi.OK,
		"accounts":                           abi.OK,
		"virtio_mmio@10002000/window":        abi.OK,
		"virtio_mmio@10002000":               abi.ENOENT,
		"virtio_mmio@10002000/":              abi.ENOENT,
		"virtio_mmio@10002000/irq/":          abi.ENOENT,
		"virtio_mmio@1000200/window":         abi.ENOENT,
		"serial@10000000/window":             abi.ENOENT, // the kernel's own
		"../virtio_mmio@10002000/window":     abi.ENOENT,
		"/soc/virtio_mmio@10002000/window":   abi.ENOENT,
		"virtio_mmio@10002000/window\x00irq": abi.ENOENT,
		"":                                   abi.ENOENT,
	} {
		if _, err := Open([]byte(name)); err != want {
			t.Errorf("%q: %d, want %d", name, err, want)
		}
	}
}

func TestWindow(t *testing.T) {
	setup(t)
	w := open(t, "virtio_mmio@10002000/window")
	var st abi.Stat
	w.Stat(&st)
	if st.Ino != 0x10002000 || st.Size != 0x1000 {
		t.Errorf("base %#x, size %#x", st.Ino, st.Size)
	}
	if p, err := w.Map(0, true); p != 0x10002000 || err != abi.OK {
		t.Errorf("page 0: %#x, %d", p, err)
	}
	if _, err := w.Map(1, false); err == abi.OK {
		t.Error("a page beyond the window was given")
	}
	if _, err := w.Read(usertest.Out(make([]byte, 4)), 0); err != abi.EINVAL {
		t.Errorf("read of registers through the kernel: %d, want EINVAL", err)
	}
}

func counted(t *testing.T, q file.Object) (uint32, abi.Errno) {
	t.Helper()
	b := make([]byte, 4)
	m := usertest.Memory(b)
	r := user.Range(m, usertest.Base, 4)
	_, err := q.Read(&r, 0)
	return binary.LittleEndian.Uint32(b), err
}

func unmask(q file.Object) { q.Write(usertest.In([]byte{1, 0, 0, 0}), 0) }

func TestInterruptIsUIO(t *testing.T) {
	f := setup(t)
	q := open(t, "virtio_mmio@10002000/irq")
	if _, err := Open([]byte("virtio_mmio@10002000/irq")); err != abi.EBUSY {
		t.Errorf("a second owner: %d, want EBUSY", err)
	}
	var st abi.Stat
	if q.Stat(&st); st.Ino != nicIRQ {
		t.Errorf("number %d, want %d", st.Ino, nicIRQ)
	}
	f.pending |= 1 << nicIRQ
	interrupt()
	if _, err := counted(t, q); err != abi.EAGAIN {
		t.Errorf("an interrupt came through the mask it starts with: %d", err)
	}
	unmask(q)
	interrupt()
	if n, err := counted(t, q); n != 1 || err != abi.OK {
		t.Errorf("%d, %d; want 1", n, err)
	}
	if _, err := counted(t, q); err != abi.EAGAIN {
		t.Errorf("told twice: %d", err)
	}
	for range 1000 { // a storm costs one interrupt until it is acknowledged
		f.pending |= 1 << nicIRQ
		interrupt()
	}
	if q.Ready()&abi.EPOLLIN != 0 {
		t.Error("interrupted while masked")
	}
	unmask(q)
	interrupt()
	if n, _ := counted(t, q); n != 2 {
		t.Errorf("count %d, want 2", n)
	}
	q.Close()
	if f.enabled&(1<<nicIRQ) != 0 {
		t.Error("enabled after the close")
	}
	open(t, "virtio_mmio@10002000/irq").Close()
}

func TestUnownedInterruptIsMasked(t *testing.T) {
	f := setup(t)
	plic.Unmask(5)
	f.pending |= 1 << 5
	interrupt()
	if f.enabled&(1<<5) != 0 {
		t.Error("an interrupt that nobody has stays enabled")
	}
}

func TestBadInterruptWrites(t *testing.T) {
	setup(t)
	q := open(t, "virtio_mmio@10002000/irq")
	defer q.Close()
	for _, b := range [][]byte{{}, {1}, {1, 0, 0}, {2, 0, 0, 0}, {1, 0, 0, 0, 0}} {
		if _, err := q.Write(usertest.In(b), 0); err != abi.EINVAL {
			t.Errorf("% x: %d, want EINVAL", b, err)
		}
	}
	if _, err := q.Read(usertest.Out(make([]byte, 3)), 0); err != abi.EINVAL {
		t.Errorf("a short read: %d, want EINVAL", err)
	}
}

func TestMemory(t *testing.T) {
	setup(t)
	m := open(t, "dma")
	if err := m.Truncate(3*mem.PageSize - 1); err != abi.OK {
		t.Fatal(err)
	}
	if err := m.Truncate(mem.PageSize); err != abi.EINVAL {
		t.Errorf("a second size: %d, want EINVAL", err)
	}
	b := make([]byte, 8)
	r := user.Range(usertest.Memory(b), usertest.Base, 8)
	if _, err := m.Read(&r, 0); err != abi.OK {
		t.Fatal(err)
	}
	base := mem.Phys(binary.LittleEndian.Uint64(b))
	for i := range uint64(3) {
		p, err := m.Map(i, true)
		if err != abi.OK || p != base+mem.Phys(i*mem.PageSize) {
			t.Errorf("page %d: %#x, %d", i, p, err)
		}
		mem.Bytes(p)[7] = 1
	}
	if _, err := m.Map(3, true); err == abi.OK {
		t.Error("a page beyond the end was given")
	}
	m.Close()
	again := open(t, "dma")
	again.Truncate(mem.PageSize)
	p, _ := again.Map(0, true)
	if p != base || mem.Bytes(p)[7] != 0 {
		t.Errorf("page %#x with %d after a close; want %#x, zeroed", p, mem.Bytes(p)[7], base)
	}
}

func TestMemoryRunsOut(t *testing.T) {
	setup(t)
	m := open(t, "dma")
	for _, size := range []int64{0, -1, 1 << 40} {
		if err := m.Truncate(size); err != abi.EINVAL {
			t.Errorf("size %d: %d, want EINVAL", size, err)
		}
	}
	if err := m.Truncate(33 * mem.PageSize); err != abi.ENOMEM {
		t.Errorf("more than the pool: %d, want ENOMEM", err)
	}
	n := 1
	for ; n < MaxMemories+5; n++ {
		if _, err := Open([]byte("dma")); err != abi.OK {
			if err != abi.ENFILE {
				t.Errorf("%d, want ENFILE", err)
			}
			break
		}
	}
	if n != MaxMemories {
		t.Errorf("%d pieces, want %d", n, MaxMemories)
	}
}
