package device

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/epoll"
	"nexus/source/kernel/neuron/internal/eventfd"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/inet"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/memfd"
	"nexus/source/kernel/neuron/internal/pipe"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/vm"
)

// accountsFile tells what is in use of the kernel's tables, a number a line, and the longest trap since it was last read.
type accountsFile struct {
	file.Defaults
	text text
}

var theAccounts accountsFile

func (*accountsFile) Seekable() bool { return true }

func (*accountsFile) Stat(st *abi.Stat) {
	st.Dev, st.Ino, st.Mode, st.Nlink = 3, 4, abi.S_IFREG|0o400, 1
}

// Read makes the text anew for a read from its beginning.
func (f *accountsFile) Read(b *user.Buffer, pos int64) (int, abi.Errno) {
	t := &f.text
	if pos == 0 {
		t.n = 0
		processes, dead, threads, polls := proc.Counts()
		t.count("free-pages", mem.Available())
		t.count("files", file.Open())
		t.count("pipes", pipe.Open())
		t.count("unix-sockets", unixsock.Open())
		t.count("parcels", unixsock.Parcels())
		t.count("inet-sockets", inet.Open())
		t.count("namespaces", inet.Namespaces())
		t.count("eventfds", eventfd.Open())
		t.count("epolls", epoll.Open())
		t.count("epoll-items", epoll.Items())
		t.count("memfds", memfd.Open())
		t.count("dma-memories", openMemories())
		t.count("areas", vm.Areas())
		t.count("spaces", vm.Spaces())
		t.count("processes", processes)
		t.count("dead-processes", dead)
		t.count("threads", threads)
		t.count("polls", polls)
		trap := proc.Longest()
		t.count("trap-ns", int(proc.Nanoseconds(trap.Ticks)))
		t.count("trap-cause", int(trap.Cause&0x3f|trap.Cause>>63<<6))
		t.count("trap-call", int(trap.Number))
	}
	return readAt(t.b[:t.n], b, pos)
}

func (t *text) count(name string, n int) {
	t.word(name)
	t.word(" ")
	t.number(uint64(n))
	t.word("\n")
}

func openMemories() (n int) {
	for i := range memories {
		if memories[i].open {
			n++
		}
	}
	return n
}
