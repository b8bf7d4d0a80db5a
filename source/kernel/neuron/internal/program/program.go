// Package program loads an executable of the boot archive into a new address space: segments mapped from the archive in
// place, a stack with arguments, environment and auxiliary vector (System V ABI, RISC-V supplement), and the vDSO.
package program

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/elf"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/random"
	"nexus/source/kernel/neuron/internal/rootfs"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/vm"
)

// MaxArguments is the most bytes of arguments and environment, with their ends (E2BIG).
const MaxArguments = 128 << 10

// MaxStrings is the most arguments and environment strings together.
const MaxStrings = 1024

// Arguments are the strings of a program, kept by the kernel while the old address space goes and the new one comes.
type Arguments struct {
	bytes                  [MaxArguments]byte
	used                   int
	starts                 [MaxStrings]uint32 // of the strings in bytes
	arguments, environment int

	argv, envp uint64 // the lists of pointers that Load takes the strings from,
	partial    int    // how much of the next string is there,
	second     bool   // and whether it is envp's
}

// Staged is the one set; the kernel makes one program at a time.
var Staged Arguments

// Begin forgets all strings. Load takes those of the lists at argv and envp, either of which may be 0.
func (a *Arguments) Begin(argv, envp uint64) {
	a.used, a.arguments, a.environment = 0, 0, 0
	a.argv, a.envp, a.partial, a.second = argv, envp, 0, false
}

// add takes a string up to its NUL.
func (a *Arguments) add(s []byte) bool {
	if a.used+len(s)+1 > len(a.bytes) || a.arguments+a.environment == MaxStrings {
		return false
	}
	a.starts[a.arguments+a.environment] = uint32(a.used)
	a.used += copy(a.bytes[a.used:], s)
	a.bytes[a.used] = 0
	a.used++
	return true
}

// Argument and Variable add a string; arguments come first. False if there is no room.
func (a *Arguments) Argument(s []byte) bool {
	if !a.add(s) {
		return false
	}
	a.arguments++
	return true
}

func (a *Arguments) Variable(s []byte) bool {
	if !a.add(s) {
		return false
	}
	a.environment++
	return true
}

// Name is the first argument, which is what the program goes by, or path if there is none.
func (a *Arguments) Name(path []byte) []byte {
	n := 0
	for a.arguments > 0 && a.bytes[n] != 0 {
		n++
	}
	if n == 0 {
		return path
	}
	return a.bytes[:n]
}

// What a piece of Load takes, in bytes, and what each string counts for: about 200,000 instructions.
const (
	loadPiece  = 16 << 10
	stringWork = 128
)

// Load takes the strings, a piece at a time: abi.Again if there are more. E2BIG for too many, EFAULT if they cannot be read.
func (a *Arguments) Load(m user.Memory) abi.Errno {
	for left := loadPiece; left > 0; left -= stringWork {
		list, count := a.argv, &a.arguments
		if a.second {
			list, count = a.envp, &a.environment
		}
		p, ok := uint64(0), true
		if list != 0 {
			p, ok = user.LoadUint64(m, list+8*uint64(*count))
		}
		n := a.arguments + a.environment
		switch {
		case !ok:
			return abi.EFAULT
		case p == 0 && a.second:
			return abi.OK
		case p == 0:
			a.second = true
			continue
		case n == MaxStrings:
			return abi.E2BIG
		}
		if a.partial == 0 {
			a.starts[n] = uint32(a.used)
		}
		room := a.bytes[a.used:min(a.used+left, len(a.bytes))]
		k, err := String(m, p+uint64(a.partial), room)
		switch {
		case err == abi.OK:
			k++
			*count++
			a.partial = 0
		case err == abi.ENAMETOOLONG && a.used+left < len(a.bytes):
			k = len(room)
			a.partial += k
		case err == abi.ENAMETOOLONG:
			return abi.E2BIG
		default:
			return err
		}
		a.used += k
		left -= k
	}
	return abi.Again
}

// String copies the string at va into b, with its NUL, and returns its length without. ENAMETOOLONG if it does not fit.
func String(m user.Memory, va uint64, b []byte) (int, abi.Errno) {
	for n := 0; n < len(b); {
		// Not beyond the page, so that the next is not touched without need, and not much more than most strings have.
		part := b[n:min(len(b), n+256-int(va%256))]
		k := user.Load(m, part, va)
		for i, c := range part[:k] {
			if c == 0 {
				return n + i, abi.OK
			}
		}
		if k < len(part) {
			return 0, abi.EFAULT
		}
		n += k
		va += uint64(k)
	}
	return 0, abi.ENAMETOOLONG
}

// A Vdso is the page that every program sees: the clock, and the return from signal handlers.
type Vdso struct {
	file.Defaults
	Page mem.Phys
	// SignalReturn is the offset of the return stub.
	SignalReturn uint64
}

// Mapping is file.Object's.
func (v *Vdso) Mapping() file.Mapping { return file.MapsPages }

// Map gives the page.
func (v *Vdso) Map(index uint64, write bool) (mem.Phys, abi.Errno) {
	mem.Ref(v.Page)
	return v.Page, abi.OK
}

// Stat calls it a file.
func (v *Vdso) Stat(st *abi.Stat) {
	st.Dev, st.Ino, st.Mode, st.Size = 6, 1, abi.S_IFREG|0o555, mem.PageSize
}

// VDSO is the one there is, VDSOFile an open file over it; both set at boot.
var (
	VDSO     Vdso
	VDSOFile *file.File
)

const vdsoAddress = vm.StackEnd + 64<<10

// Auxiliary vector (uapi/linux/auxvec.h).
const (
	atNull, atPhdr, atPhent, atPhnum, atPagesz, atBase, atFlags, atEntry = 0, 3, 4, 5, 6, 7, 8, 9
	atUID, atEUID, atGID, atEGID, atHwcap, atClktck, atSecure, atRandom  = 11, 12, 13, 14, 16, 17, 23, 25
	atExecfn, atSysinfoEhdr                                              = 31, 33

	hwcap = 1<<0 | 1<<2 | 1<<3 | 1<<5 | 1<<8 | 1<<12 // a, c, d, f, i, m
)

// Loaded is a program ready to run.
type Loaded struct {
	Space        *vm.Space
	Entry, Stack uint64
	SignalReturn uint64
}

// LastError is what was wrong with the file that Load last refused with ENOEXEC.
var LastError elf.Code

// Load makes the space of the program in f, a file of the archive, with the staged arguments. After an error l.Space, if
// not nil, is the caller's to release.
func Load(f *file.File, n *rootfs.Node, a *Arguments) (l Loaded, err abi.Errno) {
	var image elf.Image
	if LastError = elf.Parse(n.Bytes(), &image); LastError != elf.OK {
		return l, abi.ENOEXEC
	}
	s, err := vm.NewSpace()
	if err != abi.OK {
		return l, err
	}
	l = Loaded{Space: s, Entry: image.Entry, SignalReturn: vdsoAddress + VDSO.SignalReturn}
	if err = mapImage(s, f, &image); err == abi.OK {
		l.Stack, err = a.stack(s, &image)
	}
	return l, err
}

func mapImage(s *vm.Space, f *file.File, image *elf.Image) abi.Errno {
	for i := range image.Segments[:image.Count] {
		g := &image.Segments[i]
		head := g.Address % mem.PageSize
		var prot vm.Prot
		if g.Flags&elf.Read != 0 {
			prot |= vm.Read
		}
		if g.Flags&elf.Write != 0 {
			prot |= vm.Write
		}
		if g.Flags&elf.Execute != 0 {
			prot |= vm.Exec
		}
		_, err := s.Mmap(vm.Map{
			Start: g.Address - head, Size: g.MemorySize + head, Fixed: true, Prot: prot,
			MayWrite: true, MayExec: true, File: f, Index: g.Offset / mem.PageSize, Bytes: g.FileSize + head, Zeros: true,
		})
		if err != abi.OK {
			return err
		}
	}
	_, err := s.Mmap(vm.Map{
		Start: vdsoAddress, Size: mem.PageSize, Fixed: true, Prot: vm.Read | vm.Exec,
		Shared: true, MayExec: true, File: VDSOFile, Bytes: mem.PageSize,
	})
	if err != abi.OK {
		return err
	}
	_, err = s.Mmap(vm.Map{
		Start: vm.StackEnd - vm.StackSize, Size: vm.StackSize, Fixed: true, Prot: vm.Read | vm.Write, MayWrite: true,
	})
	return err
}

// A stack is written from its end downwards.
type stack struct {
	space *vm.Space
	sp    uint64
	ok    bool
}

func (s *stack) bytes(b []byte) uint64 {
	s.sp -= uint64(len(b))
	s.ok = s.ok && s.space.Store(s.sp, b) == len(b)
	return s.sp
}

// words writes 64-bit words upwards, some together.
type words struct {
	space *vm.Space
	at    uint64 // where those in b go
	b     [32 * 8]byte
	n     int // bytes in b
	ok    bool
}

func (w *words) add(v uint64) {
	user.PutUint64(w.b[w.n:], v)
	if w.n += 8; w.n == len(w.b) {
		w.flush()
	}
}

func (w *words) flush() {
	w.ok = w.ok && w.space.Store(w.at, w.b[:w.n]) == w.n
	w.at += uint64(w.n)
	w.n = 0
}

func (w *words) aux(kind, v uint64) {
	w.add(kind)
	w.add(v)
}

// stack writes the new program's first stack frame and returns its address.
func (a *Arguments) stack(space *vm.Space, image *elf.Image) (uint64, abi.Errno) {
	s := stack{space: space, sp: vm.StackEnd - 16, ok: true}
	s.sp -= uint64(-a.used & 7) // a copy between places of one alignment is a copy of words
	strings := s.bytes(a.bytes[:a.used])
	var seed [16]byte
	random.Fill(seed[:])
	s.sp &^= 15
	seedAt := s.bytes(seed[:])
	const auxWords = 2 * 17
	count := uint64(1 + a.arguments + 1 + a.environment + 1 + auxWords)
	sp := (s.sp - 8*count) &^ 15
	w := words{space: space, at: sp, ok: s.ok}
	w.add(uint64(a.arguments))
	for i := range a.arguments + a.environment {
		if i == a.arguments {
			w.add(0)
		}
		w.add(strings + uint64(a.starts[i]))
	}
	if a.environment == 0 {
		w.add(0)
	}
	w.add(0)
	w.aux(atPhdr, image.Phdrs)
	w.aux(atPhent, elf.PhdrSize)
	w.aux(atPhnum, uint64(image.PhdrCount))
	w.aux(atPagesz, mem.PageSize)
	w.aux(atBase, 0)
	w.aux(atFlags, 0)
	w.aux(atEntry, image.Entry)
	w.aux(atUID, 0)
	w.aux(atEUID, 0)
	w.aux(atGID, 0)
	w.aux(atEGID, 0)
	w.aux(atHwcap, hwcap)
	w.aux(atClktck, 100)
	w.aux(atSecure, 0)
	w.aux(atRandom, seedAt)
	w.aux(atSysinfoEhdr, vdsoAddress)
	w.aux(atNull, 0)
	if w.flush(); !w.ok {
		return 0, abi.ENOMEM
	}
	return sp, abi.OK
}

// Enter sets the registers with which the program begins. Those that the hart holds are forgotten already.
func (l *Loaded) Enter(c *arch.Context) {
	*c = arch.Context{Hart: c.Hart}
	c.X[arch.PC], c.X[arch.SP] = l.Entry, l.Stack
}
