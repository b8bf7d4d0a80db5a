package capture

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// Record is given each frame that crosses a wire, either way, with the time at which
// it did. It must not keep the frame.
type Record func(at time.Time, frame []byte)

// KernelTime is when the kernel took the message that a socket with SO_TIMESTAMPNS gave
// oob beside, or now where oob has no such time.
func KernelTime(oob []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Now()
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_TIMESTAMPNS || len(m.Data) < 16 {
			continue
		}
		sec := binary.NativeEndian.Uint64(m.Data)
		nsec := binary.NativeEndian.Uint64(m.Data[8:])
		return time.Unix(int64(sec), int64(nsec))
	}
	return time.Now()
}
