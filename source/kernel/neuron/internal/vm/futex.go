package vm

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
)

// A Key names a word of memory that threads wait for (futex(2)). Two keys are equal when the words are the same one.
//
// A word is named by what owns it, never by where its page lies: nobody holds the page while somebody waits, and its frame may
// serve another program by the time of the wake. Memory of a space's own is named by the space and the address, memory of a
// file by the file's device and inode, which are never given out twice, and the place in it. As on Linux a wait that says
// FUTEX_PRIVATE_FLAG and a wake that does not, or the other way round, do not meet.
type Key struct {
	space         *Space // nil for a file's word
	device, inode uint64
	at            uint64
}

// notPrivate is set in Key.at, whose low bits a word's address leaves free.
const notPrivate = 1

// Hash spreads keys evenly over the numbers below n.
func (k Key) Hash(n uint64) uint64 {
	const golden = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio (Knuth 6.4)
	return (k.at ^ k.inode<<20) * golden >> 32 % n
}

// Key is the key of the word at va, which is aligned. private says that only threads of this space wait and wake. EFAULT if there is no
// such word; a private one is not looked at (a wake may come after its memory went).
func (s *Space) Key(va uint64, private bool) (Key, abi.Errno) {
	if va >= UserEnd {
		return Key{}, abi.EFAULT
	}
	if private {
		return Key{space: s, at: va}, abi.OK
	}
	a := s.find(va)
	if a == nil {
		return Key{}, abi.EFAULT
	}
	if a.Shared || a.File != nil && a.Prot&Write == 0 {
		if s.Touch(va, Read) != FaultNone {
			return Key{}, abi.EFAULT
		}
		var st abi.Stat
		file.Stat(a.File.Object, &st)
		return Key{device: st.Dev, inode: st.Ino, at: a.Index<<mem.PageShift + (va - a.Start) | notPrivate}, abi.OK
	}
	// Read-only memory of one's own never changes: nothing to wait for.
	if s.Touch(va, Write) != FaultNone {
		return Key{}, abi.EFAULT
	}
	return Key{space: s, at: va | notPrivate}, abi.OK
}
