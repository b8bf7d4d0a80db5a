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

// text is what a file says that is made as it is read.
type text struct {
	b [128 * proc.MaxProcesses]byte
	n int
}

// processesFile lists the processes, a line each.
type processesFile struct {
	file.Defaults
	text text
}

var theProcesses processesFile

func (*processesFile) Seekable() bool { return true }

func (*processesFile) Stat(st *abi.Stat) {
	st.Dev, st.Ino, st.Mode, st.Nlink = 3, 3, abi.S_IFREG|0o400, 1
}

// Read makes the text anew for a read from its beginning.
func (f *processesFile) Read(b *user.Buffer, pos int64) (int, abi.Errno) {
	t := &f.text
	if pos == 0 {
		t.n = 0
		for i := range proc.MaxProcesses {
			if p := proc.At(i); p != nil && p.Space != nil {
				t.line(p)
			}
		}
	}
	return readAt(t.b[:t.n], b, pos)
}

func (t *text) line(p *proc.Process) {
	const kib = mem.PageSize / 1024
	resident, shared, tables := p.Space.Usage()
	t.number(uint64(p.ID))
	t.word(" ")
	parent := 0
	if p.Parent != nil {
		parent = p.Parent.ID
	}
	t.number(uint64(parent))
	t.word(" ")
	t.n += copy(t.b[t.n:], p.Name())
	t.word(" rss=")
	t.number(uint64(resident) * kib)
	t.word(" shared=")
	t.number(uint64(shared) * kib)
	t.word(" tables=")
	t.number(uint64(tables) * kib)
	t.word(" cpu=")
	t.number(proc.Nanoseconds(p.CPU()) / 1000)
	t.word(" areas=")
	t.number(uint64(p.Space.Areas()))
	t.word(" threads=")
	t.number(uint64(p.Threads()))
	t.word("\n")
}

func (t *text) word(s string) { t.n += copy(t.b[t.n:], s) }

func (t *text) number(v uint64) {
	var d decimal.Digits
	t.n += copy(t.b[t.n:], decimal.Format(&d, v))
}
