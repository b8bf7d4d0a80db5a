package generate

import (
	"slices"

	"nexus/tests/fuzzkernel/program"
)

// aloneCalls are what a program that is alone makes: what does not wait, names no file of the archive and answers the same on Linux.
var aloneCalls = []string{
	"eventfd2", "epoll_create1", "epoll_ctl", "epoll_pwait", "dup", "dup3", "fcntl", "ftruncate", "close", "pipe2", "lseek", "read", "write",
	"readv", "writev", "pread64", "pwrite64", "ppoll", "futex", "nanosleep", "clock_gettime", "clock_getres", "clock_nanosleep",
	"rt_sigaction", "rt_sigprocmask", "sigaltstack", "socketpair", "sendto", "recvfrom", "shutdown", "sendmsg", "recvmsg", "munmap", "mmap",
	"mprotect", "memfd_create", "touch", "sched_yield", "getpid", "gettid", "getuid", "getsockname", "getpeername",
}

// Alone returns program number episode of a seed: one thread, each operation once, and none that waits, so that its results
// are the same on every kernel that does what Linux does.
func Alone(seed, episode uint64) *program.Program {
	g := newGen(seed, 1<<32+episode)
	g.alone = true
	g.story, g.left = nil, 0
	g.total = 0
	few := g.pick(1, 1, 2, 4)
	for i := range templates {
		g.weights[i] = 0
		if slices.Contains(aloneCalls, templates[i].name) && g.r.Uint64N(few) == 0 {
			g.weights[i] = templates[i].weight
			g.total += g.weights[i]
		}
	}
	if g.total == 0 {
		return Alone(seed+1<<32, episode)
	}
	g.action(13)
	for range 4 + g.r.IntN(8) {
		switch g.r.IntN(4) {
		case 0:
			g.pipe()
		case 1:
			g.socketPair()
		case 2:
			g.call("memfd_create", g.into(memory), number(g.text("m")), number(0))
		case 3:
			g.call("eventfd2", g.into(event), number(g.pick(0, 3)), number(0x800))
		}
	}
	g.fill(0, 60+g.r.IntN(100), 1)
	return g.p
}

// Addresses and sizes of a program that is alone: qemu-user looks at the whole of a buffer before Linux sees the call, so
// buffers are all there. tests/abi has those that are not.
const noise = outputs + outputsSize - 16384 // where answers go that are not the same twice

func (g *gen) aloneOut() program.Value {
	return number(outputs + g.r.Uint64N(16)*4096)
}

func (g *gen) aloneSize() program.Value {
	return number(g.pick(0, 1, 2, 4, 8, 8, 16, 72, 100, 512, 1000, 4096))
}

// noisy is out for what is not the same twice.
func noisy(g *gen) program.Value {
	if g.alone {
		return number(noise)
	}
	return out(g)
}

// sum compares what a call wrote to an address.
func (g *gen) sum(at program.Value) {
	if g.alone && !at.Slot && at.Number >= outputs && at.Number < noise {
		g.emit(program.Op{Code: program.Sum, Slot: program.NoSlot, Args: [6]program.Value{at, number(128)}})
	}
}
