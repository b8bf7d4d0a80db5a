//go:build neuron

// Neuron is the kernel of Nexus: processes, threads, memory and descriptors, and nothing else. It is restricted Go: no heap,
// no goroutines, no package initialisers, tables with fixed bounds. tools/mkkernel builds the image and proves it.
//
// The boot order is this file; what happens at a trap is trap.go; each package under internal/ is one concern.
package main

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/console"
	"nexus/source/kernel/neuron/internal/device"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/machine"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/plic"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/program"
	"nexus/source/kernel/neuron/internal/random"
	"nexus/source/kernel/neuron/internal/rootfs"
	"nexus/source/kernel/neuron/internal/syscall"
	"nexus/source/kernel/neuron/internal/vdso"
	"nexus/source/kernel/neuron/internal/vm"
	"nexus/source/libs/fdt"
)

const (
	// stackRoom is the kernel stack and, at its low end, two pages for the guard page, wherever the linker puts it.
	stackRoom = 64<<10 + 2*mem.PageSize
	dmaSize   = 4 << 20
	// maxTree and maxArchive bound what the firmware may hand over.
	maxTree    = 1 << 20
	maxArchive = 512 << 20
)

// What the first instructions use before there is anything else.
var (
	rootTable [2 * mem.PageSize]byte
	bootStack [stackRoom]byte
	bootG     [512]byte
)

var (
	hart  proc.Hart
	tree  fdt.Tree
	board machine.Machine
	// reserved is memory that the firmware has put something into.
	reserved [2]mem.Range
)

func main() {}

// entry is where the image begins.
func entry()

// boot runs once, on the boot hart, with paging on and interrupts off.
func boot(hartID, treeAt uint64) {
	arch.OnFatal = fatal
	hart.ID, hart.Trap = hartID, trap
	hart.Stack, hart.G = stackAndG()
	arch.SetTrapVector(&hart.Hart)
	arch.Probe()

	bytes := treeBytes(mem.Phys(treeAt))
	code := tree.Open(bytes)
	if code != fdt.OK {
		stop("device tree: ", code.String())
	}
	why := board.Read(&tree, hartID)
	if board.UART != 0 {
		console.Console.Init(kernelAddress(board.UART))
	}
	if why != "" {
		stop("device tree: ", why)
	}
	checkCPU()
	initMemory(mem.Phys(treeAt), len(bytes))
	protectKernel()
	plic.Init(kernelAddress(board.PLIC), board.PLICContext)
	plic.Unmask(board.UARTInterrupt)
	proc.SetFrequency(board.Timebase)
	proc.Devices = interrupts
	proc.Console = processEnds
	file.Clock = proc.RealtimeAt
	proc.OnInitExit = initExited
	initClockAndChance()
	listed, left := device.Scan(&tree, board.Own())
	console.Text("neuron: hart ")
	console.Number(hartID)
	console.Text(", memory ")
	console.Number(uint64(mem.Total()) * mem.PageSize >> 20)
	console.Text(" MiB, devices ")
	console.Number(uint64(listed))
	if left > 0 {
		console.Text(" (too many: ")
		console.Number(uint64(left))
		console.Text(" left out)")
	}
	console.Text(", archive ")
	console.Number(uint64(board.Archive.End-board.Archive.Start) >> 10)
	console.Text(" KiB\n")
	sayEntropy()
	openArchive()
	provoke()
	startInit()
	arch.EnableInterrupts()
	proc.BigLock.Acquire()
	c := proc.Schedule(&hart.Hart)
	proc.BigLock.Release()
	arch.Resume(c)
}

// protectKernel leaves the table of the first instructions, in which everything can be written and executed, for one in which text is
// read and executed, constants and the boot archive are read, and the pages below the stacks are missing.
func protectKernel() {
	const page = mem.PageSize - 1
	root, ok := mem.Alloc()
	if ok {
		vm.Init(root)
		a := board.Archive
		ok = vm.Restrict(loadAddress, textEnd(), vm.Read|vm.Exec) &&
			vm.Restrict(textEnd(), rodataEnd(), vm.Read) &&
			vm.Restrict((a.Start+page)&^page, a.End&^page, vm.Read) &&
			vm.Guard(physical(bootGuard())) && vm.Guard(physical(arch.FatalGuard()))
	}
	if !ok {
		stop("memory: ", "used up at boot")
	}
	vm.Enter(&hart.Hart)
}

// checkCPU stops the boot where the processor cannot do what the kernel or every program needs.
func checkCPU() {
	if !arch.CPU.Float {
		stop("cpu: ", "no double-precision floating point (F and D), which every program needs")
	}
	if n := arch.CPU.VectorTooLong; n != 0 {
		console.Text("neuron: cpu: vector unit off, its registers have ")
		console.Number(n * 8)
		console.Text(" bits, more than are saved\n")
	}
	if why := arch.NoAlarm(board.Sstc); why != "" {
		stop("cpu: ", why)
	}
}

// treeBytes is the device tree at p, as long as its own header says.
func treeBytes(p mem.Phys) []byte {
	head := mem.RAM(p, 8)
	n := int(head[4])<<24 | int(head[5])<<16 | int(head[6])<<8 | int(head[7])
	return mem.RAM(p, min(n, maxTree))
}

func initMemory(treeAt mem.Phys, treeSize int) {
	const page = mem.PageSize - 1
	first := (imageEnd() + page) &^ page
	end := board.Memory.End &^ page
	if board.Memory.Start > first || end <= first || uint64(end-first) < 16<<20 {
		stop("device tree: ", "no memory of at least 16 MiB behind the kernel")
	}
	a := board.Archive
	if a.End > a.Start && (a.Start < first || a.End > end) {
		stop("device tree: ", "the boot archive lies outside memory")
	}
	reserved[0] = a
	reserved[1] = mem.Range{Start: treeAt, End: treeAt + mem.Phys(treeSize)}
	top := end
	for _, r := range reserved {
		// The pool for DMA is the end of memory, below whatever the firmware put there.
		if r.End > top-dmaSize && r.Start < top {
			top = r.Start &^ page
		}
	}
	mem.Init(first, top, dmaSize, reserved[:])
}

func initClockAndChance() {
	now := wallClock()
	if board.Deterministic {
		random.Fix()
	} else {
		random.Seed(tree.RNGSeed())
		random.Mix(arch.ReadTime(), now)
	}
	tree.EraseRNGSeed()
	ahead := proc.SetRealtime(now)
	p, ok := mem.Alloc()
	if !ok {
		stop("memory: ", "used up at boot")
	}
	program.VDSO.Page = p
	program.VDSO.SignalReturn = uint64(vdso.Build((*[4096]byte)(mem.Bytes(p)), board.Timebase, int64(ahead)))
	program.VDSOFile = file.New(&program.VDSO, abi.O_RDONLY)
}

// sayEntropy tells what the random generator began with.
func sayEntropy() {
	switch {
	case board.Deterministic:
		console.Text("neuron: entropy fixed, deterministic profile\n")
	case random.Seeded():
		console.Text("neuron: entropy seeded\n")
	default:
		console.Text("neuron: entropy missing, getrandom waits for ever: the device tree has no rng-seed. " +
			"Boot with nx boot, or QEMU without -dtb, or nexus.profile=deterministic\n")
	}
}

func openArchive() {
	a := board.Archive
	if a.End <= a.Start || a.End-a.Start > maxArchive {
		stop("boot archive: ", "none: start QEMU with -initrd boot.cpio")
	}
	code, at := rootfs.Open(mem.RAM(a.Start, int(a.End-a.Start)), a.Start)
	if code.String() != "ok" {
		console.Text("neuron: boot archive: header at ")
		console.Hex(uint64(at))
		console.Text("\n")
		stop("boot archive: ", code.String())
	}
}

var commandLine [2048 + 16]byte

// startInit makes process 1: /init with the console as descriptors 0 to 2 and the device directory as 3.
func startInit() {
	path := []byte("/init")
	n, ok := rootfs.Lookup(path).(*rootfs.Node)
	if !ok || !n.Executable() {
		stop("init: ", "the boot archive has no executable /init")
	}
	p, _ := proc.NewProcess(nil)
	t, _ := proc.NewThread(p, &hart.Hart)
	tty := file.New(&console.Console, abi.O_RDWR)
	for range 3 {
		p.Files.Install(tty.Ref(), 0, false)
	}
	p.Files.Install(file.New(&device.Root, abi.O_RDONLY), 0, false)
	a := &program.Staged
	a.Begin(0, 0)
	a.Argument(path)
	k := copy(commandLine[:], "NEXUS_CMDLINE=")
	k += copy(commandLine[k:], tree.BootArgs())
	a.Variable(commandLine[:k])
	a.Variable([]byte("LISTEN_FDS=1"))
	a.Variable([]byte("LISTEN_FDNAMES=devices"))
	if err := syscall.Start(t, n); err != abi.OK {
		console.Text("neuron: init: cannot execute /init: ")
		console.Text(program.LastError.String())
		console.Text(", error ")
		console.Number(uint64(err))
		console.Text("\n")
		powerOff(false)
	}
	t.Start()
}
