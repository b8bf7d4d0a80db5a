// Package syscall is the system calls: a subset of Linux/riscv64's (man-pages section 2), in one table. A handler decodes and
// checks everything before it changes anything.
package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/proc"
)

// Args are the argument registers a0 to a5 of the thread that calls. They are its registers: who sets those has read these.
type Args [6]uint64

// Int is argument i as a C int.
func (a *Args) Int(i int) int { return int(int32(a[i])) }

// A handler does a call of t. With abi.Blocked the call's result is none of the dispatcher's business: t sleeps and makes
// the call again, or is gone, or has new registers. With abi.Again it makes the call again at once, where t.Done says how far it
// has come: a handler whose work has no small bound does it in pieces of some 200,000 instructions.
type handler func(t *proc.Thread, a *Args) (int64, abi.Errno)

// A Call is an entry of the table.
type Call struct {
	Name string
	// Partial tells what of Linux's call is missing; empty if nothing that a program could ask for is.
	Partial string
	handler handler
}

// Limit is the first number that the table has no place for.
const Limit = 512

// Number looks up a call; its Name is empty if there is none.
func Number(n int) *Call { return &table[n] }

// Handle does the system call that t has made.
func Handle(t *proc.Thread) {
	n := t.X[arch.A7]
	t.Begin()
	if n >= Limit || table[n].handler == nil {
		t.Return(0, abi.ENOSYS)
		return
	}
	value, err := table[n].handler(t, (*Args)(t.X[arch.A0:]))
	if err == abi.Blocked || err == abi.Again {
		t.Stays(err, restarts[n])
		return
	}
	t.Return(value, err)
}

// readOnly refuses what would change the file tree.
func readOnly(t *proc.Thread, a *Args) (int64, abi.Errno) { return 0, abi.EROFS }

// readOnlyFile does so for a descriptor.
func readOnlyFile(t *proc.Thread, a *Args) (int64, abi.Errno) {
	if _, err := t.Files().Get(a.Int(0)); err != abi.OK {
		return 0, err
	}
	return 0, abi.EROFS
}

func none(t *proc.Thread, a *Args) (int64, abi.Errno) { return 0, abi.OK }

// restarts is what becomes of the calls that can sleep when a signal comes (signal(7)). Those that are not here go on after the handler:
// Linux's do not sleep, here a server is asked.
var restarts = [Limit]proc.Restart{
	22:  proc.Never,
	63:  proc.Asked,
	64:  proc.Asked,
	65:  proc.Asked,
	66:  proc.Asked,
	67:  proc.Asked,
	68:  proc.Asked,
	73:  proc.Never,
	95:  proc.Asked,
	98:  proc.Untimed,
	101: proc.Never,
	115: proc.Never,
	202: proc.Asked,
	203: proc.Asked,
	206: proc.Asked,
	207: proc.Asked,
	211: proc.Asked,
	212: proc.Asked,
	242: proc.Asked,
	260: proc.Asked,
	278: proc.Asked,
}

var table = [Limit]Call{
	17:  {"getcwd", "", sysGetcwd},
	19:  {"eventfd2", "", sysEventfd2},
	20:  {"epoll_create1", "", sysEpollCreate1},
	21:  {"epoll_ctl", "no epoll instance inside another: EINVAL", sysEpollCtl},
	22:  {"epoll_pwait", "", sysEpollPwait},
	23:  {"dup", "", sysDup},
	24:  {"dup3", "", sysDup3},
	25:  {"fcntl", "no locks, leases, seals or pipe sizes: EINVAL", sysFcntl},
	29:  {"ioctl", "always ENOTTY", sysIoctl},
	33:  {"mknodat", "always EROFS", readOnly},
	34:  {"mkdirat", "always EROFS", readOnly},
	35:  {"unlinkat", "always EROFS", readOnly},
	36:  {"symlinkat", "always EROFS", readOnly},
	37:  {"linkat", "always EROFS", readOnly},
	45:  {"truncate", "always EROFS", readOnly},
	46:  {"ftruncate", "", sysFtruncate},
	48:  {"faccessat", "the archive is read only and its modes count for everybody", sysFaccessat},
	49:  {"chdir", "", sysChdir},
	50:  {"fchdir", "", sysFchdir},
	52:  {"fchmod", "always EROFS", readOnlyFile},
	53:  {"fchmodat", "always EROFS", readOnly},
	54:  {"fchownat", "always EROFS", readOnly},
	55:  {"fchown", "always EROFS", readOnlyFile},
	56:  {"openat", "nothing can be created: EROFS", sysOpenat},
	57:  {"close", "", sysClose},
	59:  {"pipe2", "no O_DIRECT and O_NOTIFICATION_PIPE", sysPipe2},
	61:  {"getdents64", "", sysGetdents64},
	62:  {"lseek", "no SEEK_DATA and SEEK_HOLE", sysLseek},
	63:  {"read", "", sysRead},
	64:  {"write", "", sysWrite},
	65:  {"readv", "", sysReadv},
	66:  {"writev", "", sysWritev},
	67:  {"pread64", "", sysPread64},
	68:  {"pwrite64", "", sysPwrite64},
	73:  {"ppoll", "at most 256 descriptors: EINVAL; the remaining time is not told", sysPpoll},
	76:  {"splice", "always EINVAL: programs copy themselves", sysSplice},
	78:  {"readlinkat", "/proc/self/exe only", sysReadlinkat},
	79:  {"newfstatat", "", sysNewfstatat},
	80:  {"fstat", "", sysFstat},
	82:  {"fsync", "nothing is kept: done at once", sysFsync},
	83:  {"fdatasync", "nothing is kept: done at once", sysFsync},
	88:  {"utimensat", "always EROFS", readOnly},
	93:  {"exit", "", sysExit},
	94:  {"exit_group", "", sysExitGroup},
	95:  {"waitid", "P_ALL and P_PID, WEXITED only", sysWaitid},
	96:  {"set_tid_address", "", sysSetTidAddress},
	98:  {"futex", "WAIT, WAKE, WAIT_BITSET and WAKE_BITSET with all bits", sysFutex},
	99:  {"set_robust_list", "accepted, but nothing is done at a thread's death", none},
	101: {"nanosleep", "", sysNanosleep},
	113: {"clock_gettime", "the coarse clocks are as fine as the others", sysClockGettime},
	114: {"clock_getres", "", sysClockGetres},
	115: {"clock_nanosleep", "not on processor time: EOPNOTSUPP", sysClockNanosleep},
	123: {"sched_getaffinity", "one processor", sysSchedGetaffinity},
	124: {"sched_yield", "", sysSchedYield},
	129: {"kill", "to itself and to descendants; no process groups", sysKill},
	130: {"tkill", "within the process", sysTkill},
	131: {"tgkill", "within the process", sysTgkill},
	132: {"sigaltstack", "", sysSigaltstack},
	134: {"rt_sigaction", "", sysRtSigaction},
	135: {"rt_sigprocmask", "", sysRtSigprocmask},
	139: {"rt_sigreturn", "", sysRtSigreturn},
	148: {"getresuid", "always 0", sysGetresid},
	150: {"getresgid", "always 0", sysGetresid},
	158: {"getgroups", "none", sysGetgroups},
	160: {"uname", "", sysUname},
	167: {"prctl", "always EINVAL", sysPrctl},
	172: {"getpid", "", sysGetpid},
	173: {"getppid", "", sysGetppid},
	174: {"getuid", "always 0: authority is in descriptors", none},
	175: {"geteuid", "always 0", none},
	176: {"getgid", "always 0", none},
	177: {"getegid", "always 0", none},
	178: {"gettid", "", sysGettid},
	198: {"socket", "AF_INET streams and datagrams inside a socket namespace", sysSocket},
	199: {"socketpair", "AF_UNIX", sysSocketpair},
	200: {"bind", "AF_INET", sysBind},
	201: {"listen", "AF_INET", sysListen},
	202: {"accept", "AF_INET", sysAccept},
	203: {"connect", "AF_INET; a stream's AF_UNSPEC is EOPNOTSUPP", sysConnect},
	204: {"getsockname", "", sysGetsockname},
	205: {"getpeername", "", sysGetpeername},
	206: {"sendto", "", sysSendto},
	207: {"recvfrom", "", sysRecvfrom},
	208: {"setsockopt", "the options of package inet; others are ENOPROTOOPT", sysSetsockopt},
	209: {"getsockopt", "", sysGetsockopt},
	210: {"shutdown", "", sysShutdown},
	211: {"sendmsg", "", sysSendmsg},
	212: {"recvmsg", "", sysRecvmsg},
	215: {"munmap", "", sysMunmap},
	220: {"clone", "threads and vfork; no copy of an address space: ENOSYS", sysClone},
	221: {"execve", "static executables of the archive", sysExecve},
	222: {"mmap", "no shared anonymous memory between processes, no huge pages", sysMmap},
	226: {"mprotect", "", sysMprotect},
	232: {"mincore", "of a memfd's pages those that were touched through the mapping", sysMincore},
	233: {"madvise", "DONTNEED; FREE and advice without effect are accepted", sysMadvise},
	242: {"accept4", "AF_INET", sysAccept4},
	258: {"riscv_hwprobe", "the base, F, D, C and V, the clock's frequency and the highest address; other keys are unknown", sysHwprobe},
	260: {"wait4", "no stopped children; of rusage the processor time and peak memory", sysWait4},
	261: {"prlimit64", "limits are fixed", sysPrlimit64},
	268: {"setns", "socket namespaces (CLONE_NEWNET)", sysSetns},
	276: {"renameat2", "always EROFS", readOnly},
	278: {"getrandom", "", sysGetrandom},
	279: {"memfd_create", "no seals and huge pages", sysMemfdCreate},
}
