package abi_test

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"nexus/source/kernel/neuron/internal/abi"
)

// TestErrnos compares the numbers with those of the host, which has the same ones.
func TestErrnos(t *testing.T) {
	for got, want := range map[abi.Errno]unix.Errno{
		abi.EPERM: unix.EPERM, abi.ENOENT: unix.ENOENT, abi.ESRCH: unix.ESRCH, abi.EINTR: unix.EINTR, abi.EIO: unix.EIO,
		abi.ENXIO: unix.ENXIO, abi.E2BIG: unix.E2BIG, abi.ENOEXEC: unix.ENOEXEC, abi.EBADF: unix.EBADF, abi.ECHILD: unix.ECHILD,
		abi.EAGAIN: unix.EAGAIN, abi.ENOMEM: unix.ENOMEM, abi.EACCES: unix.EACCES, abi.EFAULT: unix.EFAULT, abi.EBUSY: unix.EBUSY,
		abi.EEXIST: unix.EEXIST, abi.EXDEV: unix.EXDEV, abi.ENODEV: unix.ENODEV, abi.ENOTDIR: unix.ENOTDIR, abi.EISDIR: unix.EISDIR,
		abi.EINVAL: unix.EINVAL, abi.ENFILE: unix.ENFILE, abi.EMFILE: unix.EMFILE, abi.ENOTTY: unix.ENOTTY, abi.EFBIG: unix.EFBIG,
		abi.ENOSPC: unix.ENOSPC, abi.ESPIPE: unix.ESPIPE, abi.EROFS: unix.EROFS, abi.EPIPE: unix.EPIPE, abi.ERANGE: unix.ERANGE,
		abi.ENAMETOOLONG: unix.ENAMETOOLONG, abi.ENOSYS: unix.ENOSYS, abi.ENOTEMPTY: unix.ENOTEMPTY, abi.ELOOP: unix.ELOOP,
		abi.EOVERFLOW: unix.EOVERFLOW, abi.ENOTSOCK: unix.ENOTSOCK, abi.EDESTADDRREQ: unix.EDESTADDRREQ, abi.EMSGSIZE: unix.EMSGSIZE,
		abi.EPROTOTYPE: unix.EPROTOTYPE, abi.ENOPROTOOPT: unix.ENOPROTOOPT, abi.EPROTONOSUPPORT: unix.EPROTONOSUPPORT,
		abi.ESOCKTNOSUPPORT: unix.ESOCKTNOSUPPORT, abi.EOPNOTSUPP: unix.EOPNOTSUPP, abi.EAFNOSUPPORT: unix.EAFNOSUPPORT,
		abi.EADDRINUSE: unix.EADDRINUSE, abi.EADDRNOTAVAIL: unix.EADDRNOTAVAIL, abi.ENETDOWN: unix.ENETDOWN,
		abi.ENETUNREACH: unix.ENETUNREACH, abi.ECONNABORTED: unix.ECONNABORTED, abi.ECONNRESET: unix.ECONNRESET, abi.ENOBUFS: unix.ENOBUFS,
		abi.EISCONN: unix.EISCONN, abi.ENOTCONN: unix.ENOTCONN, abi.ETOOMANYREFS: unix.ETOOMANYREFS, abi.ETIMEDOUT: unix.ETIMEDOUT,
		abi.ECONNREFUSED: unix.ECONNREFUSED, abi.EHOSTUNREACH: unix.EHOSTUNREACH, abi.EALREADY: unix.EALREADY, abi.EINPROGRESS: unix.EINPROGRESS,
	} {
		if got != abi.Errno(want) {
			t.Errorf("%v is %d, want %d", want, got, int(want))
		}
	}
}

// TestStat compares the layout with asm-generic/stat.h.
func TestStat(t *testing.T) {
	var st abi.Stat
	for _, f := range []struct {
		name      string
		got, want uintptr
	}{
		{"size", unsafe.Sizeof(st), 128},
		{"st_dev", unsafe.Offsetof(st.Dev), 0},
		{"st_ino", unsafe.Offsetof(st.Ino), 8},
		{"st_mode", unsafe.Offsetof(st.Mode), 16},
		{"st_nlink", unsafe.Offsetof(st.Nlink), 20},
		{"st_uid", unsafe.Offsetof(st.UID), 24},
		{"st_gid", unsafe.Offsetof(st.GID), 28},
		{"st_rdev", unsafe.Offsetof(st.Rdev), 32},
		{"st_size", unsafe.Offsetof(st.Size), 48},
		{"st_blksize", unsafe.Offsetof(st.Blksize), 56},
		{"st_blocks", unsafe.Offsetof(st.Blocks), 64},
		{"st_atim", unsafe.Offsetof(st.Atim), 72},
		{"st_mtim", unsafe.Offsetof(st.Mtim), 88},
		{"st_ctim", unsafe.Offsetof(st.Ctim), 104},
	} {
		if f.got != f.want {
			t.Errorf("%s at %d, want %d", f.name, f.got, f.want)
		}
	}
}
