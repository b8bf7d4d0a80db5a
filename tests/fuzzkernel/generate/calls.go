package generate

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"nexus/tests/fuzzkernel/program"
)

// A template emits a call. Those that are no more than a list of arguments stand in the table as that; what the result is
// of, if anything, is gives.
type template struct {
	name   string
	weight int
	args   []arg
	gives  kind
	make   func(*gen)
	// waits: it may wait for ever, or ends the thread, or answers what is not the same twice: not for a program that is alone.
	waits bool
}

func (t *template) emit(g *gen) {
	switch {
	case g.alone && t.waits:
		return
	case t.make != nil:
		t.make(g)
		return
	}
	var args []program.Value
	for _, a := range t.args {
		args = append(args, a(g))
	}
	to := uint8(program.NoSlot)
	if t.gives != 0 {
		to = g.into(t.gives)
	}
	g.call(t.name, to, args...)
	if strings.HasPrefix(t.name, "read") || strings.HasPrefix(t.name, "pread") || strings.HasPrefix(t.name, "recv") {
		g.sum(args[1])
	}
}

var (
	zero     = constant(0)
	null     = zero
	anything = fd(descriptor)
)

// templates has every call of the kernel's table: a test compares. The weights favour what shares and waits.
var templates []template

// init breaks the circle of templates, step and the composite calls.
func init() {
	templates = []template{
		{name: "getcwd", weight: 1, args: []arg{out, size}},
		{name: "eventfd2", weight: 4, args: []arg{constant(0, 1, 5, 1<<32-1), func(g *gen) program.Value { return number(g.some(1, 0x80000) | g.nonblocking()) }}, gives: event},
		{name: "epoll_create1", weight: 3, args: []arg{constant(0, 0x80000, 0x80000, 1)}, gives: poller},
		{name: "epoll_ctl", weight: 14, args: []arg{fd(poller), constant(1, 1, 1, 2, 3, 3, 4), fd(pollable), interest}},
		{name: "epoll_pwait", weight: 8, args: []arg{fd(poller), noisy, constant(1, 4, 8, 1000, 0, ^uint64(0)), wait, usual(often(null, mask), null), constant(8)}},
		{name: "dup", weight: 5, make: func(g *gen) { g.copies("dup") }},
		{name: "dup3", weight: 6, make: func(g *gen) { g.copies("dup3") }},
		{name: "fcntl", weight: 5, args: []arg{anything, usual(constant(0, 1, 2, 2, 3, 4, 4, 1030, 1030, 5, 1031), constant(1, 2, 3, 4)), usual(constant(0, 1, 0x800, 0x400, 0xc00, 8192, 20), constant(0x800, 0x801))}},
		{name: "ioctl", weight: 1, args: []arg{anything, constant(0x5401, 0x541b, 0x5421), out}},
		{name: "mkdirat", weight: 1, args: []arg{constant(^uint64(99)), constant(0), zero}, waits: true},
		{name: "unlinkat", weight: 1, args: []arg{constant(^uint64(99)), constant(0), zero}, waits: true},
		{name: "symlinkat", weight: 1, args: []arg{constant(0), constant(^uint64(99)), zero}, waits: true},
		{name: "linkat", weight: 1, args: []arg{constant(^uint64(99)), zero, constant(^uint64(99)), zero}, waits: true},
		{name: "ftruncate", weight: 6, args: []arg{fd(memory | dma), fileSize}},
		{name: "faccessat", weight: 1, args: []arg{constant(^uint64(99)), path, constant(0, 1, 4, 7)}},
		{name: "chdir", weight: 1, args: []arg{path}},
		{name: "openat", weight: 10, make: (*gen).open},
		{name: "close", weight: 14, args: []arg{anything}},
		{name: "pipe2", weight: 6, make: (*gen).pipe},
		{name: "getdents64", weight: 2, args: []arg{fd(directory), out, size}},
		{name: "lseek", weight: 4, args: []arg{fd(memory | node | directory), constant(0, 1, 100, 4096, 1<<20, ^uint64(0)), usual(constant(0, 1, 2, 3), constant(0, 1, 2))}},
		{name: "read", weight: 25, args: []arg{fd(readable), out, size}},
		{name: "write", weight: 25, args: []arg{fd(writable), in, size}},
		{name: "readv", weight: 5, make: func(g *gen) { g.vector("readv", readable, out) }},
		{name: "writev", weight: 5, make: func(g *gen) { g.vector("writev", writable, in) }},
		{name: "pread64", weight: 4, args: []arg{fd(memory | node), out, size, constant(0, 1, 4095, 5000, 1<<30, 1<<40, ^uint64(0))}},
		{name: "pwrite64", weight: 4, args: []arg{fd(memory), in, size, constant(0, 1, 4095, 5000, 1<<20, 1<<30, ^uint64(0))}},
		{name: "ppoll", weight: 12, make: (*gen).poll},
		{name: "splice", weight: 1, args: []arg{anything, zero, anything, zero, size, zero}, waits: true},
		{name: "readlinkat", weight: 1, args: []arg{constant(^uint64(99)), path, out, size}},
		{name: "newfstatat", weight: 2, args: []arg{constant(^uint64(99)), path, out, constant(0, 0x1000)}},
		{name: "fstat", weight: 3, args: []arg{anything, out}},
		{name: "exit", weight: 1, make: func(g *gen) { g.rarely("exit") }, waits: true},
		{name: "exit_group", weight: 1, make: func(g *gen) { g.rarely("exit_group") }, waits: true},
		{name: "waitid", weight: 4, args: []arg{constant(0, 1, 1, 2, 3), pid, out, constant(4, 5, 5, 0x1000005), often(null, noisy)}, waits: true},
		{name: "set_tid_address", weight: 1, args: []arg{word}, waits: true},
		{name: "futex", weight: 20, args: []arg{word, constant(0, 0, 1, 1, 0x80, 0x81, 9, 0x89, 10, 0x189, 3), constant(0, 0, 0, 1, 0x7fffffff), noTime, zero, constant(1<<32 - 1)}},
		{name: "set_robust_list", weight: 1, args: []arg{out, constant(24)}},
		{name: "nanosleep", weight: 4, args: []arg{time, often(null, noisy)}},
		{name: "clock_gettime", weight: 1, args: []arg{constant(0, 1, 2, 3, 4, 7, 100), noisy}},
		{name: "clock_getres", weight: 1, args: []arg{constant(0, 1, 2, 3, 100), often(noisy, null)}},
		{name: "clock_nanosleep", weight: 3, args: []arg{constant(0, 1, 1, 100), constant(0, 0, 1), time, often(null, noisy)}},
		{name: "sched_getaffinity", weight: 1, args: []arg{zero, constant(8, 16, 7), out}, waits: true},
		{name: "sched_yield", weight: 3},
		{name: "kill", weight: 5, args: []arg{pid, signal}, waits: true},
		{name: "tkill", weight: 3, args: []arg{tid, signal}, waits: true},
		{name: "tgkill", weight: 6, args: []arg{often(own, pid), tid, signal}, waits: true},
		{name: "sigaltstack", weight: 3, make: (*gen).altStack},
		{name: "rt_sigaction", weight: 5, make: (*gen).sigaction},
		{name: "rt_sigprocmask", weight: 4, args: []arg{constant(0, 1, 1, 2, 2, 3), mask, often(null, noisy), constant(8)}},
		{name: "rt_sigreturn", weight: 1, make: func(g *gen) { g.rarely("rt_sigreturn") }, waits: true},
		{name: "uname", weight: 1, args: []arg{out}},
		{name: "prctl", weight: 1, args: []arg{constant(1000), zero}},
		{name: "getpid", weight: 1}, {name: "getppid", weight: 1}, {name: "getuid", weight: 1}, {name: "geteuid", weight: 1},
		{name: "getgid", weight: 1}, {name: "getegid", weight: 1}, {name: "gettid", weight: 1},
		{name: "socket", weight: 4, args: []arg{constant(2, 2, 2, 1, 10), constant(1, 1, 2, 0x801, 0x802, 3), constant(0, 0, 6, 17)}, gives: inet, waits: true},
		{name: "socketpair", weight: 8, make: (*gen).socketPair},
		{name: "bind", weight: 3, args: []arg{fd(inet), addressIP, constant(16, 16, 16, 0, 2, 128)}, waits: true},
		{name: "listen", weight: 3, args: []arg{fd(inet), constant(0, 1, 16, ^uint64(0))}, waits: true},
		{name: "accept", weight: 2, args: []arg{fd(inet), often(null, noisy), often(null, noisy)}, gives: inet, waits: true},
		{name: "connect", weight: 3, args: []arg{fd(inet), addressIP, constant(16, 16, 16, 2)}, waits: true},
		{name: "getsockname", weight: 1, args: []arg{fd(sockets), noisy, nameLength}},
		{name: "getpeername", weight: 1, args: []arg{fd(sockets), noisy, nameLength}},
		{name: "sendto", weight: 8, args: []arg{fd(sockets), in, size, sendFlags, often(null, addressIP), constant(0, 16)}},
		{name: "recvfrom", weight: 8, args: []arg{fd(sockets), out, size, receiveFlags, usual(often(null, out), null), usual(often(null, length), null)}},
		{name: "setsockopt", weight: 3, args: []arg{fd(sockets), constant(1, 1, 6, 0), optionName, length, constant(4, 4, 8, 0)}},
		{name: "getsockopt", weight: 3, args: []arg{fd(sockets), constant(1, 1, 6, 0), optionName, out, length}},
		{name: "shutdown", weight: 4, args: []arg{fd(sockets), constant(0, 1, 2, 3)}},
		{name: "sendmsg", weight: 16, make: (*gen).sendMessage},
		{name: "recvmsg", weight: 14, make: (*gen).receiveMessage},
		{name: "munmap", weight: 8, args: []arg{place, pages}},
		{name: "clone", weight: 4, make: (*gen).clone, waits: true},
		{name: "execve", weight: 1, make: (*gen).executeRarely, waits: true},
		{name: "mmap", weight: 22, make: (*gen).mmap},
		{name: "mprotect", weight: 12, args: []arg{place, pages, usual(constant(0, 1, 3, 3, 3, 5, 7, 4, 2, 8), constant(0, 1, 3, 3))}},
		{name: "madvise", weight: 6, args: []arg{place, pages, constant(4, 4, 4, 8, 0, 3, 14, 99)}},
		{name: "accept4", weight: 3, args: []arg{fd(inet), often(null, noisy), often(null, noisy), flags(0x800, 0x80000)}, gives: inet, waits: true},
		{name: "wait4", weight: 6, args: []arg{pid, often(null, noisy), constant(0, 1, 1, 1, 2), often(null, noisy)}, waits: true},
		{name: "prlimit64", weight: 1, args: []arg{zero, constant(7, 3, 16), null, out}, waits: true},
		{name: "setns", weight: 3, args: []arg{fd(namespace), constant(0x40000000, 0x40000000, 0)}, waits: true},
		{name: "renameat2", weight: 1, args: []arg{constant(^uint64(99)), zero, constant(^uint64(99)), zero}, waits: true},
		{name: "getrandom", weight: 1, args: []arg{out, size, constant(0, 1, 8)}, waits: true},
		{name: "memfd_create", weight: 5, make: func(g *gen) { g.call("memfd_create", g.into(memory), number(g.text("m")), number(g.some(1))) }},
		{name: "touch", weight: 30, make: (*gen).touch},
		{name: "vast", weight: 1, make: (*gen).vast, waits: true},
		{name: "fchdir", weight: 1, args: []arg{fd(directory)}, waits: true},
		{name: "truncate", weight: 1, args: []arg{path, constant(0, 1, ^uint64(0))}, waits: true},
		{name: "getgroups", weight: 1, args: []arg{constant(0, 1, ^uint64(0)), out}, waits: true},
	}
	others()
	index := make(map[string]int)
	for i := range templates {
		index[templates[i].name] = i
	}
	for _, s := range append(every(stories), &waiting) {
		for _, name := range s.calls {
			s.index = append(s.index, index[name])
		}
	}
}

func every(stories []story) (all []*story) {
	for i := range stories {
		all = append(all, &stories[i])
	}
	return all
}

// others gives every call that has no row above one with arguments that fit by chance.
func others() {
	known := make(map[string]bool)
	for i := range templates {
		known[templates[i].name] = true
	}
	for _, number := range slices.Sorted(maps.Keys(program.Calls)) {
		if name := program.Calls[number]; !known[name] {
			any := func(g *gen) program.Value {
				return []arg{anything, out, path, size, constant(^uint64(99), 0, 0, 1)}[g.r.IntN(5)](g)
			}
			templates = append(templates, template{name: name, weight: 1, args: []arg{any, any, any, any}, waits: true})
		}
	}
}

// makers open things, for a program's beginning.
var makers = []func(*gen){
	(*gen).pipe, (*gen).socketPair, (*gen).socketPair, (*gen).open, (*gen).mmap,
	func(g *gen) { g.call("eventfd2", g.into(event), number(0), number(g.some(1)|g.nonblocking())) },
	func(g *gen) { g.call("epoll_create1", g.into(poller), number(0)) },
	func(g *gen) { g.call("memfd_create", g.into(memory), number(g.text("m")), number(0)) },
}

func own(g *gen) program.Value { return slot(program.SlotProcess) }

func wait(g *gen) program.Value {
	if g.alone {
		return number(0)
	}
	return number(g.pick(0, 0, 0, 1, 1, ^uint64(0)))
}

func interest(g *gen) program.Value {
	e := g.some(1, 1, 4, 0x2000, 1<<31, 1<<30, 8)
	return number(g.words(e, g.r.Uint64N(100)))
}

func length(g *gen) program.Value {
	if g.alone {
		return number(g.words(g.pick(4, 16, 0, 8, 128)))
	}
	return number(g.words(g.pick(4, 16, 0, 8, 1<<31, 128)))
}

// fileSize is what a file becomes; one that is alone stays below what neuron's can be.
func fileSize(g *gen) program.Value {
	n := g.pick(0, 1, 4096, 5000, 65536, 1<<20, 1<<30, 1<<31, ^uint64(0))
	if g.alone && int64(n) > 1<<20 {
		n >>= 2
	}
	return number(n)
}

// nameLength is where the size of a socket's name is. One that is noise qemu-user may take for more than there is.
func nameLength(g *gen) program.Value {
	if g.alone {
		return length(g)
	}
	return often(length, noisy)(g)
}

func optionName(g *gen) program.Value {
	return number(g.pick(2, 3, 4, 6, 7, 8, 9, 13, 15, 30, 38, 39, 1, 4, 5))
}

// Flags of messages: MSG_DONTWAIT, which a program that is alone must say, PEEK, TRUNC, WAITALL, NOSIGNAL, CMSG_CLOEXEC.
func sendFlags(g *gen) program.Value {
	if g.alone {
		return number(0x4040)
	}
	return number(0x4000*g.pick(0, 1, 1, 1) | g.nonblocking()>>5&0x40 | g.some(0x8000))
}

func receiveFlags(g *gen) program.Value {
	f := g.some(2, 0x20, 0x100) | g.nonblocking()>>5&0x40
	if g.one(5) {
		f |= 0x40000000
	}
	if g.alone {
		f = f&^0x100 | 0x40
	}
	return number(f)
}

func (g *gen) rarely(name string) {
	if g.one(12) {
		g.call(name, program.NoSlot, number(g.r.Uint64N(4)))
	}
}

// nonblocking is O_NONBLOCK, most of the time: threads that wait for ever make no calls.
func (g *gen) nonblocking() uint64 {
	if g.alone || !g.one(4) {
		return 0x800
	}
	return 0
}

func (g *gen) pipe() {
	at := g.words(0)
	f := g.some(0x80000) | g.nonblocking()
	g.call("pipe2", program.NoSlot, number(at), number(f))
	r, w := g.pair(pipeRead, pipeWrite)
	g.load(r, at)
	g.load(w, at+4)
}

func (g *gen) socketPair() {
	at, k := g.words(0), unixStream
	kind := g.pick(1, 1, 5, 2)
	if kind != 1 {
		k = unixPacket
	}
	f := g.some(0x80000) | g.nonblocking()
	g.call("socketpair", program.NoSlot, number(1), number(kind|f), number(0), number(at))
	a, b := g.pair(k, k)
	g.load(a, at)
	g.load(b, at+4)
}

func (g *gen) open() {
	base, name, k, mode := number(^uint64(99)), "", node, g.some(0x10000, 0x800, 0x80000)
	switch g.r.IntN(8) {
	case 0, 1:
		name = below[g.r.IntN(len(below))]
		k = map[string]kind{"serve": server, "dma": dma, "socketns": namespace, "virtio_mmio@10001000/window": register, "virtio_mmio@10001000/irq": interrupt}[name]
		from := devices
		if k == server {
			from = namespace
		}
		base = fd(from)(g)
		mode = 2 | g.nonblocking()
	case 2:
		name, mode = names[g.r.IntN(len(names))], mode|g.pick(0, 1, 2)
		k = 0
		if g.one(2) {
			base = fd(directory)(g)
		}
	case 3:
		name, k = []string{"/", "/bin", "/dev"}[g.r.IntN(3)], directory
	default:
		name, mode = []string{"/canary", "/init", "/bin/executor"}[g.r.IntN(3)], mode&^0x10000
	}
	to := uint8(program.NoSlot)
	if k != 0 {
		to = g.into(k)
	}
	g.call("openat", to, base, number(g.text(name)), number(mode), number(0))
}

// copies is dup, and dup3 onto something.
func (g *gen) copies(name string) {
	v := fd(descriptor)(g)
	k := descriptor
	if v.Slot {
		k = g.kinds[v.Number]
	}
	to := g.into(k & (descriptor | received))
	if name == "dup" {
		g.call(name, to, v)
		return
	}
	target := fd(descriptor)(g)
	if !g.alone && g.one(3) {
		target = number(g.r.Uint64N(30))
	}
	g.call(name, to, v, target, number(g.pick(0, 0, 0x80000)))
}

func (g *gen) vector(name string, k kind, give arg) {
	v := fd(k)(g)
	at, n := vectors(g, give)
	g.call(name, program.NoSlot, v, number(at), number(n))
	g.sum(number(outputs + g.r.Uint64N(16)*4096))
}

// poll asks about some descriptors, which the list's stores put into the array.
func (g *gen) poll() {
	n := g.pick(0, 1, 2, 3, 8)
	b := make([]byte, 8*n)
	for i := range n {
		binary.LittleEndian.PutUint32(b[8*i:], ^uint32(0))
		binary.LittleEndian.PutUint16(b[8*i+4:], uint16(g.some(1, 4, 0x2000)))
	}
	at := g.bytes(b)
	for i := range n {
		g.store(4, at+8*i, fd(pollable)(g))
	}
	if g.one(20) && !g.alone {
		n = g.pick(257, 1<<20, ^uint64(0))
	}
	g.call("ppoll", program.NoSlot, number(at), number(n), noTime(g), number(0), number(8))
}

func (g *gen) altStack() {
	base := g.pick(outputs+0x8000, outputs+0x10000)
	if g.one(4) {
		base = g.page()
	}
	at := g.words(base, g.pick(0, 0, 0, 2, 1), g.pick(8192, 16384, 2048, 100))
	if g.alone {
		at = g.words(outputs+0x8000, g.pick(0, 2), 16384)
	}
	g.call("sigaltstack", program.NoSlot, often(constant(at), null)(g), often(null, noisy)(g))
}

func (g *gen) sigaction() {
	if g.one(3) {
		handler, signal := uint64(1), g.pick(13, 17, 23, 12, 34, 64, 9, 0, 65)
		if g.one(2) {
			handler, signal = 0, g.pick(17, 23, 34, 64)
		}
		act := g.words(handler, 0, 0)
		g.call("rt_sigaction", program.NoSlot, number(signal), number(act), often(null, noisy)(g), number(8))
		return
	}
	g.action(g.pick(10, 12, 13, 17, 23, 34))
}

// message is a msghdr with a control buffer.
func (g *gen) message(give arg, control, controlLength uint64) uint64 {
	v, n := vectors(g, give)
	name := uint64(0)
	if g.one(10) && !g.alone {
		name = outputs
	}
	return g.words(name, g.pick(0, 16), v, n, control, controlLength, 0)
}

// sendMessage sends bytes, and descriptors beside them half of the time.
func (g *gen) sendMessage() {
	to := fd(sockets)(g)
	give := arg(in)
	if to.Slot && g.kinds[to.Number] == server {
		give = func(g *gen) program.Value { return number(record(g)) }
	}
	control, n := uint64(0), uint64(0)
	if g.one(2) {
		rights, kind := g.pick(1, 1, 1, 2, 3, 16, 17), g.pick(1, 1, 1, 1, 1, 1, 2)
		if g.alone {
			rights, kind = g.pick(1, 2, 3), 1
		}
		n = 16 + 4*rights
		b := make([]byte, (n+7)&^7)
		binary.LittleEndian.PutUint64(b, n)
		binary.LittleEndian.PutUint32(b[8:], 1)
		binary.LittleEndian.PutUint32(b[12:], uint32(kind))
		control = g.bytes(b)
		for i := range rights {
			v := fd(descriptor)(g)
			if i == 0 && g.one(3) {
				v = to // itself
			}
			g.store(4, control+16+4*i, v)
		}
		n = (n + 7) &^ 7
	}
	head := g.message(give, control, n)
	if give != nil && to.Slot && g.kinds[to.Number] == server {
		at := g.words(record(g), 72)
		head = g.words(0, 0, at, 1, control, n, 0)
	}
	g.call("sendmsg", program.NoSlot, to, number(head), sendFlags(g))
}

// receiveMessage takes what comes, and the first descriptors beside it.
func (g *gen) receiveMessage() {
	n, flags := g.pick(0, 24, 24, 32, 80, 16, 20), receiveFlags(g)
	switch {
	case g.alone && flags.Number&2 != 0:
		n = 0 // Linux looks at descriptors behind what it shows of a stream
	case g.alone:
		n = g.pick(0, 80) // qemu-user gives Linux twice the room
	}
	control := g.bytes(make([]byte, 80))
	for i := range uint64(2) {
		g.store(4, control+16+4*i, number(1<<32-1))
	}
	g.call("recvmsg", program.NoSlot, fd(sockets)(g), number(g.message(out, control, n)), flags)
	g.sum(number(outputs + g.r.Uint64N(16)*4096))
	if n > 16 {
		g.load(g.into(received), control+16)
		g.load(g.into(received), control+20)
	}
}

// clone is a thread or a child by the executor, or flags that are refused.
func (g *gen) clone() {
	if g.list > workers || g.one(5) {
		g.call("clone", program.NoSlot, number(g.pick(0, 17, 0x100, 0x10000, 0x10f00&^0x100, ^uint64(0))), number(0))
		return
	}
	if g.list > 0 {
		g.emit(program.Op{Code: program.Vfork, Slot: g.into(child), Args: numbers(uint64(g.list + workers))})
	}
}

func (g *gen) executeRarely() {
	switch {
	case g.list < executed && g.list > 0 && g.one(20):
		g.execve(executed)
	case g.one(2):
		g.call("execve", program.NoSlot, path(g), often(null, noisy)(g), number(0))
	}
}

func (g *gen) mmap() {
	at, n := number(g.page()), pages(g)
	prot := g.pick(0, 1, 3, 3, 3, 7, 5)
	f := g.pick(2, 2, 2, 1) | g.pick(0x10, 0x10, 0x10, 0, 0x100000)
	file, offset := number(^uint64(0)), uint64(0)
	if g.one(2) {
		f |= 0x20
	} else {
		file = fd(mappable)(g)
		offset = g.pick(0, 0, 0, 4096, 8192, 1<<16, 1<<30, 1)
		if g.one(2) {
			prot = g.pick(1, 5)
		}
	}
	if g.alone { // qemu-user looks at these in another order, and does not know MAP_FIXED_NOREPLACE
		f &^= 0x100000
		offset &^= 4095
		if v, ok := g.of(memory); ok && f&0x20 == 0 {
			file = v
		} else {
			f |= 0x20
		}
	}
	if g.one(20) {
		at = place(g)
	}
	if g.one(30) && !g.alone {
		f = g.r.Uint64N(1 << 20)
	}
	g.call("mmap", g.into(area), at, n, number(prot), number(f), file, number(offset))
}

func (g *gen) touch() {
	g.emit(program.Op{Code: program.Touch, Slot: program.NoSlot, Args: [6]program.Value{place(g), number(g.pick(1, 4096, 16384, 65536)), number(g.pick(0, 1))}})
}

// vast maps much, touches a page here and there, which costs tables, and does something to all of it.
func (g *gen) vast() {
	const at, leaf = 0x22_0000_0000, 2 << 20
	size := g.pick(64<<20, 256<<20, 1<<30)
	if g.one(30) {
		size = 8 << 30
	}
	switch g.r.IntN(4) {
	case 0:
		g.call("mmap", program.NoSlot, number(at), number(size), number(g.pick(0, 3)), number(0x32), number(^uint64(0)), number(0))
	case 1:
		g.emit(program.Op{Code: program.Touch, Slot: program.NoSlot, Args: numbers(at, size, 1, leaf)})
	case 2:
		g.call("mprotect", program.NoSlot, number(at), number(size), number(g.pick(0, 1, 3, 3)))
	case 3:
		if g.one(3) {
			g.call("munmap", program.NoSlot, number(at), number(size))
			return
		}
		g.call("madvise", program.NoSlot, number(at), number(size), number(4))
	}
}
