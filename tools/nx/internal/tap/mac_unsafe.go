package tap

import (
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hardwareRequest is struct ifreq as SIOCSIFHWADDR reads it (netdevice(7)).
type hardwareRequest struct {
	name   [unix.IFNAMSIZ]byte
	family uint16
	data   [14]byte
	_      [8]byte // the union's longest member
}

// setMAC changes an interface's hardware address.
func setMAC(s int, name string, mac net.HardwareAddr) error {
	if len(name) >= unix.IFNAMSIZ || len(mac) != 6 {
		return unix.EINVAL
	}
	req := hardwareRequest{family: unix.ARPHRD_ETHER}
	copy(req.name[:], name)
	copy(req.data[:], mac)
	// The kernel reads sizeof(struct ifreq) bytes at the pointer, which is
	// hardwareRequest's size, and keeps none of it after the call.
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCSIFHWADDR, uintptr(unsafe.Pointer(&req)))
	if errno != 0 {
		return errno
	}
	return nil
}
