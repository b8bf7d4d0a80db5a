// Package machine is what the kernel itself uses of the device tree: memory, the boot archive, the serial port, the interrupt
// controller, the clock.
package machine

import (
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/libs/fdt"
)

// Machine is what the kernel itself uses of the device tree.
type Machine struct {
	Memory, Archive       mem.Range
	UART, PLIC, RTC, Test mem.Phys
	UARTInterrupt         int
	PLICContext           int
	Timebase              uint64
	Deterministic         bool
	// Sstc is whether the boot hart is said to have an alarm of its own.
	Sstc bool

	own      [8]mem.Range
	ownCount int
}

// Own are the register windows that the kernel keeps for itself.
func (m *Machine) Own() []mem.Range { return m.own[:m.ownCount] }

// Second is the length of a second in ticks, also before Timebase is known.
func (m *Machine) Second() uint64 {
	if m.Timebase == 0 {
		return 10_000_000
	}
	return m.Timebase
}

// maxMemory bounds the memory that is used: the physical map reaches to 256 GiB, the bookkeeping is proportional.
const maxMemory = 64 << 30

// Read takes everything from the tree and says what is missing, or nothing. The test device and the serial port come first, so that
// there is a way to end with a status and a place to say why. Devices on the way to an error keep zero addresses.
func (m *Machine) Read(t *fdt.Tree, hartID uint64) string {
	if test, ok := find(t, "sifive,test0"); ok {
		m.Test = m.claim(test)
	}
	uart, ok := find(t, "ns16550a")
	if ok {
		m.UART = m.claim(uart)
		i, _ := uart.Interrupt(0)
		m.UARTInterrupt = int(i.Number)
	}
	if m.UART == 0 || m.UARTInterrupt == 0 {
		return "no serial port (ns16550a) with an interrupt"
	}
	ram, ok := t.Memory(0)
	if !ok {
		return "no memory node"
	}
	m.Memory = mem.Range{Start: mem.Phys(ram.Address), End: mem.Phys(ram.Address + min(ram.Size, maxMemory))}
	if a, ok := t.Initrd(); ok && a.Address+a.Size >= a.Address {
		m.Archive = mem.Range{Start: mem.Phys(a.Address), End: mem.Phys(a.Address + a.Size)}
	}
	if m.Timebase, ok = t.TimebaseFrequency(); !ok || m.Timebase < 1_000_000 || m.Timebase > 1_000_000_000 {
		return "no usable timebase-frequency"
	}
	if rtc, ok := find(t, "google,goldfish-rtc"); ok {
		m.RTC = m.claim(rtc)
	}
	if clint, ok := find(t, "riscv,clint0"); ok {
		m.claim(clint)
	}
	m.Deterministic = HasWord(t.BootArgs(), "nexus.profile=deterministic")
	return m.readPLIC(t, hartID)
}

// readPLIC finds the interrupt controller and which of its contexts is supervisor mode of the boot hart.
func (m *Machine) readPLIC(t *fdt.Tree, hartID uint64) string {
	const supervisorExternal = 9
	n, ok := find(t, "sifive,plic-1.0.0")
	if !ok {
		if n, ok = find(t, "riscv,plic0"); !ok {
			return "no interrupt controller (sifive,plic-1.0.0)"
		}
	}
	m.PLIC = m.claim(n)
	for i := 0; ; i++ {
		h, ok := t.Hart(i)
		if !ok {
			return "no cpu node for the boot hart"
		}
		if h.ID != hartID {
			continue
		}
		m.Sstc = sstc(h.ISA)
		handle, _ := h.InterruptController()
		for c := 0; ; c++ {
			e, ok := n.InterruptExtended(c)
			if !ok {
				return "the interrupt controller has no supervisor context for the boot hart"
			}
			if e.Controller == handle && e.Number == supervisorExternal {
				m.PLICContext = c
				return ""
			}
		}
	}
}

// find is the first enabled node that is compatible with what.
func find(t *fdt.Tree, what string) (fdt.Node, bool) {
	w := t.Walk()
	for n, ok := w.Next(); ok; n, ok = w.Next() {
		if n.Compatible(what) && n.Okay() {
			return n, true
		}
	}
	return fdt.Node{}, false
}

// claim keeps a device for the kernel and returns its base, 0 if it has no window.
func (m *Machine) claim(n fdt.Node) mem.Phys {
	r, ok := n.Window(0)
	if !ok {
		return 0
	}
	if m.ownCount < len(m.own) {
		m.own[m.ownCount] = mem.Range{Start: mem.Phys(r.Address), End: mem.Phys(r.Address + r.Size)}
		m.ownCount++
	}
	return mem.Phys(r.Address)
}

// sstc looks for the extension in a riscv,isa string, whose multi-letter names are separated by underscores.
func sstc(isa []byte) bool {
	const name = "_sstc"
	for i := 0; i+len(name) <= len(isa); i++ {
		if string(isa[i:i+len(name)]) == name {
			return true
		}
	}
	return false
}

// HasWord looks for a word of a command line.
func HasWord(line []byte, word string) bool {
	for i := 0; i < len(line); {
		j := i
		for j < len(line) && line[j] != ' ' {
			j++
		}
		if string(line[i:j]) == word {
			return true
		}
		i = j + 1
	}
	return false
}
