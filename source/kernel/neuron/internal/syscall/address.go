package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/libs/sockns"
)

// Address families (linux/socket.h).
const (
	afUnspec = 0
	afUnix   = 1
	afInet   = 2
)

// inetSize is sizeof(struct sockaddr_in): u16 family, u16 port and 4 bytes of address in network order, 8 zeros.
const inetSize = 16

// maxAddress is sizeof(struct sockaddr_storage).
const maxAddress = 128

// loadAddress reads an IPv4 address of n bytes, or AF_UNSPEC, which is family 0. EINVAL if it is too short, EAFNOSUPPORT for another
// family.
func loadAddress(t *proc.Thread, va, n uint64) (a sockns.Address, err abi.Errno) {
	var b [inetSize]byte
	n = uint64(uint32(n))
	if n < 2 || n > maxAddress {
		return a, abi.EINVAL
	}
	k := min(int(n), inetSize)
	if user.Load(t.Memory(), b[:k], va) != k {
		return a, abi.EFAULT
	}
	switch family := uint16(b[0]) | uint16(b[1])<<8; {
	case family == afUnspec:
		return a, abi.OK
	case n < inetSize:
		return a, abi.EINVAL
	case family != afInet:
		return a, abi.EAFNOSUPPORT
	}
	a.Family = sockns.FamilyIP4
	a.Port = uint16(b[2])<<8 | uint16(b[3])
	copy(a.IP[:4], b[4:8])
	return a, abi.OK
}

// encodeAddress is the other way.
func encodeAddress(a *sockns.Address) (b [inetSize]byte) {
	b[0] = afInet
	b[2], b[3] = byte(a.Port>>8), byte(a.Port)
	copy(b[4:8], a.IP[:4])
	return b
}

// storeName gives a program the name of a socket: as much as fits, and its true length.
func storeName(t *proc.Thread, name []byte, va, lenAt uint64) abi.Errno {
	m := t.Memory()
	room, ok := user.LoadUint32(m, lenAt)
	if !ok {
		return abi.EFAULT
	}
	if int32(room) < 0 {
		return abi.EINVAL
	}
	n := min(int(room), len(name))
	if user.Store(m, va, name[:n]) != n || !user.StoreUint32(m, lenAt, uint32(len(name))) {
		return abi.EFAULT
	}
	return abi.OK
}

// storeInet does so for an IPv4 address.
func storeInet(t *proc.Thread, a *sockns.Address, va, lenAt uint64) abi.Errno {
	b := encodeAddress(a)
	return storeName(t, b[:], va, lenAt)
}

// storeUnix does so for an AF_UNIX socket, which has no name.
func storeUnix(t *proc.Thread, va, lenAt uint64) abi.Errno {
	b := [2]byte{afUnix}
	return storeName(t, b[:], va, lenAt)
}
