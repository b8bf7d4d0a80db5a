//go:build riscv64

package main

import (
	"sync/atomic"
	"unsafe"

	"nexus/tests/fuzzkernel/program"
)

// Where the executor keeps what is its own.
const (
	image      = 0x21_0000_0000
	imageSize  = 2 << 20
	results    = 0x21_1000_0000
	slots      = 0x21_2000_0000
	threads    = slots + 4096
	threadSize = 256
	scratch    = threads + 4096 // structures of the executor's own calls
	streams    = scratch + 4096
	owns       = streams + 4096
	ownSize    = 4*4096 + ownEach*program.MaxLists*(mostDepth+2)
	stacks     = 0x21_3000_0000
	stackSize  = 64 << 10
)

// Where the program and the results are out of a program's way, for a list that is executed anew.
const (
	keptProgram = 1000
	keptResults = 1001
)

// A thread's record: how deep in handlers it is, how many it may still run, how many signals came, and how many of those that restart
// nothing.
const (
	threadDepth   = 0
	threadLeft    = 8
	threadHandled = 16
	threadOthers  = 24

	mostDepth    = 2
	mostHandlers = 64
)

// System calls of its own (asm-generic/unistd.h).
const (
	sysDup3, sysClose                                = 24, 57
	sysRead, sysWrite, sysPread, sysPwrite           = 63, 64, 67, 68
	sysSendto                                        = 206
	sysExit, sysExitGroup, sysNanosleep, sysTgkill   = 93, 94, 101, 131
	sysSigaction, sysGetpid, sysGetppid, sysGettid   = 134, 172, 173, 178
	sysMmap                                          = 222
	read, write                                      = 1, 2
	shared, private, fixed, anonymous                = 0x01, 0x02, 0x10, 0x20
	sigBus, sigSegv                                  = 7, 11
	siginfo, nodefer                                 = 4, 0x40000000
	threadFlags                                      = 0x3d0f00 // pthread_create's, with CLONE_CHILD_CLEARTID
	vforkFlags                                       = 0x4111
	ucontextPC                                       = 176
	statusMemory, statusImage, statusFault, statusOK = 120, 121, 96, 0
)

func call(number, a, b, c, d, e, f uintptr) uintptr
func clone(flags, stack, id, record, list uintptr) uintptr
func record() uintptr
func setRecord(at uintptr)
func access(address, value, mode uintptr) (result, ok uintptr)
func accessAt() uintptr
func recoveredAt() uintptr
func handlerAt() uintptr
func handler()

// at is the word at an address that this executor has mapped itself; what a program touches goes through access.
//
//go:nosplit
func at(p uintptr) *uint64 { return (*uint64)(*(*unsafe.Pointer)(unsafe.Pointer(&p))) }

//go:nosplit
func word(p uintptr) uintptr { return uintptr(*at(p)) }

//go:nosplit
func byteAt(p uintptr) uintptr { return uintptr(*(*uint8)(unsafe.Pointer(at(p)))) }

//go:nosplit
func set(p, v uintptr) { *at(p) = uint64(v) }

//go:nosplit
func add(p uintptr) { atomic.AddUint64(at(p), 1) }

//go:nosplit
func failed(r uintptr) bool { return r > ^uintptr(4095) }

//go:nosplit
func exit(status uintptr) { call(sysExitGroup, status, 0, 0, 0, 0, 0) }

//go:nosplit
func mapAt(address, size, prot, flags, fd, offset uintptr) {
	if call(sysMmap, address, size, prot, flags|fixed, fd, offset) != address {
		exit(statusMemory)
	}
}

// begin is the main thread, or an executed list; sp is the kernel's first stack frame.
//
//go:nosplit
func begin(sp uintptr) {
	list := uintptr(0)
	if word(sp) > 1 {
		list = (byteAt(word(sp+16)) - 'a') & (program.MaxLists - 1)
	}
	binary, result := uintptr(program.DescriptorProgram), uintptr(program.DescriptorResults)
	if word(sp) > 1 {
		binary, result = keptProgram, keptResults
	}
	mapAt(image, imageSize, read, private, binary, 0)
	mapAt(results, program.ResultSize, read|write, shared, result, 0)
	mapAt(slots, ownSize, read|write, private|anonymous, ^uintptr(0), 0)
	mapAt(stacks, stackSize*program.MaxLists, read|write, private|anonymous, ^uintptr(0), 0)
	mapAt(program.Data, program.DataSize, read|write, private|anonymous, ^uintptr(0), 0)
	mapAt(program.Arena, program.ArenaOpen, read|write, private|anonymous, ^uintptr(0), 0)
	if word(image) != program.Magic {
		exit(statusImage)
	}
	if size := word(image + program.HeaderDataSize); size != 0 {
		mapAt(program.Data, size, read|write, private, binary, word(image+program.HeaderData))
	}
	if binary != keptProgram {
		call(sysDup3, binary, keptProgram, 0, 0, 0, 0)
		call(sysDup3, result, keptResults, 0, 0, 0, 0)
		call(sysClose, binary, 0, 0, 0, 0, 0)
		call(sysClose, result, 0, 0, 0, 0, 0)
	}
	setRecord(threads + threadSize*list)
	set(record()+threadLeft, mostHandlers)
	fillSlots(list)
	set(scratch, handlerAt())
	set(scratch+8, siginfo|nodefer)
	call(sysSigaction, sigSegv, scratch, 0, 8, 0, 0)
	call(sysSigaction, sigBus, scratch, 0, 8, 0, 0)
	run(list)
	if list == 0 {
		add(results + program.ResultEnd)
	}
	exit(statusOK)
}

//go:nosplit
func fillSlots(list uintptr) {
	for i := uintptr(0); i < program.Slots; i++ {
		set(slots+8*i, ^uintptr(0))
	}
	set(slots+8*program.SlotProcess, call(sysGetpid, 0, 0, 0, 0, 0, 0))
	set(slots+8*program.SlotHandler, handlerAt())
	set(slots+8*program.SlotParent, call(sysGetppid, 0, 0, 0, 0, 0, 0))
	set(slots+8*(program.SlotThreads+list), call(sysGettid, 0, 0, 0, 0, 0, 0))
	for i := uintptr(0); i < program.FirstFree-program.SlotGiven; i++ {
		set(slots+8*(program.SlotGiven+i), i)
	}
}

// child is where clone's child begins.
//
//go:nosplit
func child(list, flags uintptr) {
	if flags == vforkFlags {
		run(list)
		exit(list)
	}
	run(list)
	add(results + program.ResultDone)
	call(sysExit, 0, 0, 0, 0, 0, 0)
}

// run makes the operations of a list.
//
//go:nosplit
func run(list uintptr) {
	head := image + program.HeaderLists + program.ListSize*list
	first, n := image+word(head), word(head+8)
	for rounds := word(head + 16); rounds > 0; rounds-- {
		result := results + program.ResultFirst + 8*word(head+24)
		for i := uintptr(0); i < n; i++ {
			o := first + program.OpSize*i
			r := step(o)
			set(result, r)
			result += 8
			if slot := byteAt(o + program.OpSlot); slot != program.NoSlot && !failed(r) {
				set(slots+8*slot, r)
			}
		}
	}
}

// argument is argument i of the operation at o.
//
//go:nosplit
func argument(o, i uintptr) uintptr {
	v := word(o + program.OpArgs + 8*i)
	if byteAt(o+program.OpKinds)>>i&1 != 0 {
		v = word(slots + 8*(v&(program.Slots-1)))
	}
	return v
}

// step makes an operation and returns its result.
//
//go:nosplit
func step(o uintptr) uintptr {
	number := word(o) >> 16 & 0xffff
	a, b := argument(o, 0), argument(o, 1)
	switch program.Code(byteAt(o)) {
	case program.Call:
		add(results + program.ResultCalls)
		c := argument(o, 2)
		if number == sysFutex {
			return futex(a, b, c, argument(o, 3), argument(o, 4), argument(o, 5))
		}
		if number == sysSetTid {
			add(results + program.ResultOther)
		}
		r := call(number, a, b, c, argument(o, 3), argument(o, 4), argument(o, 5))
		if (number == sysRead || number == sysWrite || number == sysPread || number == sysPwrite || number == sysSendto) && !failed(r) && r > c {
			wrong(program.TooMuch, number, r, c)
		}
		return r
	case program.Store:
		r, _ := access(a, b, -number)
		return r
	case program.Load:
		r, _ := access(a, 0, number)
		return r
	case program.Touch:
		return touch(a, b, argument(o, 2), max(argument(o, 3), 4096))
	case program.Sum:
		return sum(a, b)
	case program.Start:
		return start(a & (program.MaxLists - 1))
	case program.Vfork:
		a &= program.MaxLists - 1
		return clone(vforkFlags, stacks+stackSize*(a+1)-64, 0, 0, a)
	case program.Tick:
		return tick(a, b, argument(o, 2), argument(o, 3))
	case program.Finish:
		return finish(a)
	}
	add(results + program.ResultCalls)
	return kept(o, a, b)
}

//go:nosplit
func touch(p, size, change, stride uintptr) uintptr {
	for end := p + size; p < end; p += stride {
		v, ok := access(p, 0, 1)
		if ok != 0 && change != 0 {
			v, ok = access(p, v+1, ^uintptr(0))
		}
		if ok == 0 {
			return v
		}
	}
	return 0
}

//go:nosplit
func sum(p, size uintptr) (s uintptr) {
	for end := p + size; p < end; p++ {
		v, ok := access(p, 0, 1)
		if ok == 0 {
			return v
		}
		s = (s*31 + v) & (1<<62 - 1)
	}
	return s
}

//go:nosplit
func start(list uintptr) uintptr {
	t := threads + threadSize*list
	set(t+threadDepth, 0)
	set(t+threadLeft, mostHandlers)
	r := clone(threadFlags, stacks+stackSize*(list+1)-64, slots+8*(program.SlotThreads+list), t, list)
	if !failed(r) {
		add(results + program.ResultLives)
	}
	return r
}

// tick sends the threads signals, one at a time, until all have ended.
//
//go:nosplit
func tick(most, ns, first, second uintptr) uintptr {
	list := uintptr(0)
	for i := uintptr(0); i < most; i++ {
		if over() {
			return 0
		}
		signal := first
		if i&1 != 0 && second != 0 {
			signal = second
		}
		set(scratch+64, 0)
		set(scratch+72, ns)
		call(sysNanosleep, scratch+64, 0, 0, 0, 0, 0)
		for n := 0; n < program.MaxLists; n++ {
			list = (list + 1) & (program.MaxLists - 1)
			if id := word(slots + 8*(program.SlotThreads+list)); list != 0 && id != ^uintptr(0) && signal != 0 {
				call(sysTgkill, word(slots+8*program.SlotProcess), id, signal, 0, 0, 0)
				add(results + program.ResultCalls)
				break
			}
		}
	}
	return ^uintptr(109)
}

// signalled handles every signal: a fault of access makes that fail, another fault ends the process, and everything else runs the
// program's list for handlers.
//
//go:nosplit
func signalled(signal, info, context uintptr) {
	if signal == sigSegv || signal == sigBus {
		if pc := word(context + ucontextPC); pc-accessAt() >= recoveredAt()-accessAt() {
			exit(statusFault + signal)
		}
		set(context+ucontextPC, recoveredAt())
		return
	}
	t := record()
	set(t+threadHandled, word(t+threadHandled)+1)
	if signal != program.Restarting {
		set(t+threadOthers, word(t+threadOthers)+1)
	}
	if word(t+threadDepth) >= mostDepth || word(t+threadLeft) == 0 {
		return
	}
	set(t+threadDepth, word(t+threadDepth)+1)
	set(t+threadLeft, word(t+threadLeft)-1)
	run(program.Handler)
	set(t+threadDepth, word(t+threadDepth)-1)
}
