package link

import (
	"os"
	"syscall"
)

// EventBell is an eventfd that only its other side writes to and nobody reads. The runtime's poller is told of each write, so the
// counter itself, which would cost two system calls a ring, is not looked at.
type EventBell struct {
	raw   syscall.RawConn
	arm   func() bool
	asked bool
	check func(uintptr) bool
}

// NewBell makes a bell of a non-blocking eventfd, which stays the caller's: closing it ends Sleep.
func NewBell(file *os.File) (*EventBell, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &EventBell{raw: raw}
	b.check = b.armed
	return b, nil
}

// Sleep implements Bell. One goroutine at a time.
func (b *EventBell) Sleep(arm func() bool) error {
	b.arm, b.asked = arm, false
	return b.raw.Read(b.check)
}

// armed is called once before the wait and once after each ring. The runtime forgets earlier rings before the first call and none
// from then on: one that follows arm is never lost.
func (b *EventBell) armed(uintptr) bool {
	if b.asked {
		return true
	}
	b.asked = true
	return !b.arm()
}
