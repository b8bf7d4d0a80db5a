package arch

// Lock is a spin lock. The kernel has one, held from trap entry to trap exit.
type Lock struct{ word uint32 }

// Acquire spins until the lock is this hart's.
func (l *Lock) Acquire() { acquire(&l.word) }

// Release lets the next hart in.
func (l *Lock) Release() { release(&l.word) }
