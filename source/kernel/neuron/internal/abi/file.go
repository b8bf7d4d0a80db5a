package abi

// Events is a set of epoll and poll events (uapi/linux/eventpoll.h).
type Events uint32

const (
	EPOLLIN      Events = 0x001
	EPOLLPRI     Events = 0x002
	EPOLLOUT     Events = 0x004
	EPOLLERR     Events = 0x008
	EPOLLHUP     Events = 0x010
	EPOLLRDNORM  Events = 0x040
	EPOLLWRNORM  Events = 0x100
	EPOLLWRBAND  Events = 0x200
	EPOLLRDHUP   Events = 0x2000
	EPOLLONESHOT Events = 1 << 30
	EPOLLET      Events = 1 << 31
)

// Flags of openat, fcntl and pipe2 (asm-generic/fcntl.h).
const (
	O_RDONLY    = 0
	O_WRONLY    = 1
	O_RDWR      = 2
	O_ACCMODE   = 3
	O_CREAT     = 0o100
	O_EXCL      = 0o200
	O_TRUNC     = 0o1000
	O_APPEND    = 0o2000
	O_NONBLOCK  = 0o4000
	O_DIRECT    = 0o40000
	O_LARGEFILE = 0o100000
	O_DIRECTORY = 0o200000
	O_NOFOLLOW  = 0o400000
	O_CLOEXEC   = 0o2000000
	O_PATH      = 0o10000000

	AT_FDCWD      = -100
	AT_EMPTY_PATH = 0x1000
)

// File types of Stat.Mode.
const (
	S_IFIFO  = 0o010000
	S_IFCHR  = 0o020000
	S_IFDIR  = 0o040000
	S_IFREG  = 0o100000
	S_IFSOCK = 0o140000
)

// Stat is struct stat of Linux/riscv64, 128 bytes (asm-generic/stat.h).
type Stat struct {
	Dev     uint64
	Ino     uint64
	Mode    uint32
	Nlink   uint32
	UID     uint32
	GID     uint32
	Rdev    uint64
	_       uint64
	Size    int64
	Blksize int32
	_       int32
	Blocks  int64
	Atim    Timespec
	Mtim    Timespec
	Ctim    Timespec
	_       [2]uint32
}

// Timespec is struct timespec, 16 bytes.
type Timespec struct {
	Sec  int64
	Nsec int64
}
