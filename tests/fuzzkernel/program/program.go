// Package program is what the system-call fuzzer runs: lists of operations for the threads of one process, with the data that
// they point at. It has a text form, which people read and cases are kept in, and a binary one, which the executor runs.
package program

import "slices"

// Where things lie in the executor's address space, the same on neuron and on Linux. Valid addresses of a program are those of
// Data and Arena; what the executor itself needs lies far from both.
const (
	Data      = 0x20_0000_0000 // the program's data segments: structures, paths, buffers
	DataSize  = 256 << 10
	Arena     = 0x20_1000_0000 // what calls map, protect and unmap
	ArenaSize = 4 << 20
	ArenaOpen = 1 << 20 // so much of it is mapped when the program begins
)

// Bounds of a program.
const (
	MaxLists = 16
	Slots    = 256
	MaxOps   = 4096 // of a list
)

// Slots that the executor fills in before the program begins; the others hold -1.
const (
	SlotProcess = 0 // the process's id
	SlotHandler = 1 // address of the signal handler, which runs list Handler
	SlotParent  = 2 // the parent's id
	SlotThreads = 8 // id of the thread that runs list i, from here on
	SlotGiven   = SlotThreads + MaxLists
	FirstFree   = 32
)

// Descriptors that the process begins with. Where one has a slot, that is SlotGiven and the descriptor's number added up.
const (
	DescriptorProgram   = 0 // the binary form; free when the program begins
	DescriptorResults   = 1 // the same
	DescriptorNamespace = 3 // a socket namespace, if the director made one
	DescriptorServe     = 4 // its serving end
	DescriptorDevices   = 5 // the device directory
)

// Handler is the list that signal handlers run. List 0 is the main thread's; the others belong to who starts them.
const Handler = MaxLists - 1

// Code is what an operation does.
type Code uint8

// Codes. Value arguments are written A, B, …
const (
	Call  Code = iota // system call Number with arguments A to F
	Store             // Number bytes (1, 4 or 8) at address A become B
	Load              // of Number bytes at address A
	Touch             // each page from A, B bytes, or each D bytes, is read, and its first byte counted up if C is not 0
	Sum               // checksum of the B bytes at A
	Start             // a thread that runs list A
	Vfork             // a child that runs list A and exits with status A; the thread waits as vfork has it
	Tick              // at most A times, until all threads have ended: sleep for B ns, send signal C, or D every second time, to the next thread

	// Operations of kept.go's.
	Stream  // number A is a pipe, or a pair of stream sockets if B is not 0
	Send    // into stream A, B bytes, in the way C (see Ways); the result must be F if that is not 0
	Receive // from stream A, at most B bytes, in the way C; the same
	Await   // wait at the futex word A while it holds 0, with flag C (FUTEX_PRIVATE_FLAG), for B ns at most if that is not 0; the same
	Sleep   // for A ns, by nanosleep or, if B is not 0, clock_nanosleep; the same
	Poll    // the ends of streams that have a bit in B, two a stream, for A ns at most, by ppoll or, if C is not 0, epoll_pwait; the same
	Finish  // empty the streams until all threads have ended, and compare; if A is not 0 they must come to their ends
)

// Value is an argument: a number, or what a slot holds.
type Value struct {
	Slot   bool
	Number uint64
}

// Op is an operation. What it gives goes to slot Slot unless it is an error or Slot is NoSlot.
type Op struct {
	Code   Code
	Slot   uint8
	Number uint16
	Args   [6]Value
}

// NoSlot: the result is kept nowhere. Slot 255 does not exist for a program.
const NoSlot = 255

// Segment is bytes in memory before the program begins.
type Segment struct {
	At    uint64
	Bytes []byte
}

// Program is lists of operations, each run Rounds times, and data.
type Program struct {
	Lists  [MaxLists][]Op
	Rounds [MaxLists]int // 0 is 1
	Data   []Segment
}

// Clone returns a copy that shares nothing that Without changes.
func (p *Program) Clone() *Program {
	q := *p
	for i := range q.Lists {
		q.Lists[i] = append([]Op(nil), p.Lists[i]...)
	}
	q.Data = append([]Segment(nil), p.Data...)
	return &q
}

// Len is the number of operations.
func (p *Program) Len() (n int) {
	for _, l := range p.Lists {
		n += len(l)
	}
	return n
}

// Ends reports whether the program comes to the end of list 0: nothing that it does may end it before.
func (p *Program) Ends() bool {
	return slices.ContainsFunc(p.Lists[0], func(o Op) bool { return o.Code == Finish && o.Args[0] != Value{} })
}

// Results gives the place of list i's first result among the results of all operations.
func (p *Program) Results(list int) (n int) {
	for i := range list {
		n += len(p.Lists[i])
	}
	return n
}
