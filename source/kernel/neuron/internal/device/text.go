package device

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/decimal"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/user"
)

// treeFile is the flattened device tree.
type treeFile struct{ file.Defaults }

var theTree treeFile

func (*treeFile) Seekable() bool { return true }

func (*treeFile) Read(b *user.Buffer, pos int64) (int, abi.Errno) { return readAt(tree, b, pos) }

func (*treeFile) Stat(st *abi.Stat) {
	st.Dev, st.Ino, st.Mode, st.Nlink, st.Size = 3, 2, abi.S_IFREG|0o400, 1, int64(len(tree))
}

func readAt(data []byte, b *user.Buffer, pos int64) (int, abi.Errno) {
	if pos < 0 || pos >= int64(len(data)) {
		return 0, abi.OK
	}
	n, ok := b.Put(data[pos:])
	if !ok && n == 0 {
		return 0, abi.EFAULT
	}
	return n, abi.OK
}

// processesFile lists the processes, a line each.
type processesFile struct{ file.Defaults }

var (
	theProcesses processesFile
	text         struct {
		b [128 * proc.MaxProcesses]byte
		n int
	}
)

func (*processesFile) Seekable() bool { return true }

func (*processesFile) Stat(st *abi.Stat) {
	st.Dev, st.Ino, st.Mode, st.Nlink = 3, 3, abi.S_IFREG|0o400, 1
}

// Read makes the text anew for a read from its beginning.
func (*processesFile) Read(b *user.Buffer, pos int64) (int, abi.Errno) {
	if pos == 0 {
		text.n = 0
		for i := range proc.MaxProcesses {
			if p := proc.At(i); p != nil && p.Space != nil {
				line(p)
			}
		}
	}
	return readAt(text.b[:text.n], b, pos)
}

func line(p *proc.Process) {
	const kib = mem.PageSize / 1024
	resident, shared, tables := p.Space.Usage()
	number(uint64(p.ID))
	word(" ")
	parent := 0
	if p.Parent != nil {
		parent = p.Parent.ID
	}
	number(uint64(parent))
	word(" ")
	text.n += copy(text.b[text.n:], p.Name())
	word(" rss=")
	number(uint64(resident) * kib)
	word(" shared=")
	number(uint64(shared) * kib)
	word(" tables=")
	number(uint64(tables) * kib)
	word(" cpu=")
	number(proc.Nanoseconds(p.CPU()) / 1000)
	word("\n")
}

func word(s string) { text.n += copy(text.b[text.n:], s) }

func number(v uint64) {
	var d decimal.Digits
	text.n += copy(text.b[text.n:], decimal.Format(&d, v))
}
