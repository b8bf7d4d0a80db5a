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
	restart proc.Restart
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
		t.Stays(err, table[n].restart)
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

// What becomes of a call that sleeps when a signal comes (signal(7)). Those that Linux has not sleep for go on: a server is asked here.
const (
	goesOn  = proc.Always
	asked   = proc.Asked
	untimed = proc.Untimed
	never   = proc.Never
)

var table = [Limit]Call{
	17:  {"getcwd", "", sysGetcwd, goesOn},
	19:  {"eventfd2", "", sysEventfd2, goesOn},
	20:  {"epoll_create1", "", sysEpollCreate1, goesOn},
	21:  {"epoll_ctl", "no epoll instance inside another: EINVAL", sysEpollCtl, goesOn},
	22:  {"epoll_pwait", "", sysEpollPwait, never},
	23:  {"dup", "", sysDup, goesOn},
	24:  {"dup3", "", sysDup3, goesOn},
	25:  {"fcntl", "no locks, leases, seals or pipe sizes: EINVAL", sysFcntl, goesOn},
	29:  {"ioctl", "always ENOTTY", sysIoctl, goesOn},
	33:  {"mknodat", "always EROFS", readOnly, goesOn},
	34:  {"mkdirat", "always EROFS", readOnly, goesOn},
	35:  {"unlinkat", "always EROFS", readOnly, goesOn},
	36:  {"symlinkat", "always EROFS", readOnly, goesOn},
	37:  {"linkat", "always EROFS", readOnly, goesOn},
	45:  {"truncate", "always EROFS", readOnly, goesOn},
	46:  {"ftruncate", "", sysFtruncate, goesOn},
	48:  {"faccessat", "the archive is read only and its modes count for everybody", sysFaccessat, goesOn},
	49:  {"chdir", "", sysChdir, goesOn},
	50:  {"fchdir", "", sysFchdir, goesOn},
	52:  {"fchmod", "always EROFS", readOnlyFile, goesOn},
	53:  {"fchmodat", "always EROFS", readOnly, goesOn},
	54:  {"fchownat", "always EROFS", readOnly, goesOn},
	55:  {"fchown", "always EROFS", readOnlyFile, goesOn},
	56:  {"openat", "nothing can be created: EROFS", sysOpenat, goesOn},
	57:  {"close", "", sysClose, goesOn},
	59:  {"pipe2", "no O_DIRECT and O_NOTIFICATION_PIPE", sysPipe2, goesOn},
	61:  {"getdents64", "", sysGetdents64, goesOn},
	62:  {"lseek", "no SEEK_DATA and SEEK_HOLE", sysLseek, goesOn},
	63:  {"read", "", sysRead, asked},
	64:  {"write", "", sysWrite, asked},
	65:  {"readv", "", sysReadv, asked},
	66:  {"writev", "", sysWritev, asked},
	67:  {"pread64", "", sysPread64, asked},
	68:  {"pwrite64", "", sysPwrite64, asked},
	73:  {"ppoll", "at most 256 descriptors: EINVAL; the remaining time is not told", sysPpoll, never},
	76:  {"splice", "always EINVAL: programs copy themselves", sysSplice, goesOn},
	78:  {"readlinkat", "/proc/self/exe only", sysReadlinkat, goesOn},
	79:  {"newfstatat", "", sysNewfstatat, goesOn},
	80:  {"fstat", "", sysFstat, goesOn},
	82:  {"fsync", "nothing is kept: done at once", sysFsync, goesOn},
	83:  {"fdatasync", "nothing is kept: done at once", sysFsync, goesOn},
	88:  {"utimensat", "always EROFS", readOnly, goesOn},
	93:  {"exit", "", sysExit, goesOn},
	94:  {"exit_group", "", sysExitGroup, goesOn},
	95:  {"waitid", "P_ALL and P_PID, WEXITED only", sysWaitid, asked},
	96:  {"set_tid_address", "", sysSetTidAddress, goesOn},
	98:  {"futex", "WAIT, WAKE, WAIT_BITSET and WAKE_BITSET with all bits", sysFutex, untimed},
	99:  {"set_robust_list", "accepted, but nothing is done at a thread's death", none, goesOn},
	101: {"nanosleep", "", sysNanosleep, never},
	113: {"clock_gettime", "the coarse clocks are as fine as the others", sysClockGettime, goesOn},
	114: {"clock_getres", "", sysClockGetres, goesOn},
	115: {"clock_nanosleep", "not on processor time: EOPNOTSUPP", sysClockNanosleep, never},
	123: {"sched_getaffinity", "one processor", sysSchedGetaffinity, goesOn},
	124: {"sched_yield", "", sysSchedYield, goesOn},
	129: {"kill", "to itself and to descendants; no process groups", sysKill, goesOn},
	130: {"tkill", "within the process", sysTkill, goesOn},
	131: {"tgkill", "within the process", sysTgkill, goesOn},
	132: {"sigaltstack", "", sysSigaltstack, goesOn},
	134: {"rt_sigaction", "", sysRtSigaction, goesOn},
	135: {"rt_sigprocmask", "", sysRtSigprocmask, goesOn},
	139: {"rt_sigreturn", "", sysRtSigreturn, goesOn},
	148: {"getresuid", "always 0", sysGetresid, goesOn},
	150: {"getresgid", "always 0", sysGetresid, goesOn},
	158: {"getgroups", "none", sysGetgroups, goesOn},
	160: {"uname", "", sysUname, goesOn},
	167: {"prctl", "always EINVAL", sysPrctl, goesOn},
	172: {"getpid", "", sysGetpid, goesOn},
	173: {"getppid", "", sysGetppid, goesOn},
	174: {"getuid", "always 0: authority is in descriptors", none, goesOn},
	175: {"geteuid", "always 0", none, goesOn},
	176: {"getgid", "always 0", none, goesOn},
	177: {"getegid", "always 0", none, goesOn},
	178: {"gettid", "", sysGettid, goesOn},
	198: {"socket", "AF_INET streams and datagrams inside a socket namespace", sysSocket, goesOn},
	199: {"socketpair", "AF_UNIX", sysSocketpair, goesOn},
	200: {"bind", "AF_INET", sysBind, goesOn},
	201: {"listen", "AF_INET", sysListen, goesOn},
	202: {"accept", "AF_INET", sysAccept, asked},
	203: {"connect", "AF_INET; a stream's AF_UNSPEC is EOPNOTSUPP", sysConnect, asked},
	204: {"getsockname", "", sysGetsockname, goesOn},
	205: {"getpeername", "", sysGetpeername, goesOn},
	206: {"sendto", "", sysSendto, asked},
	207: {"recvfrom", "", sysRecvfrom, asked},
	208: {"setsockopt", "the options of package inet; others are ENOPROTOOPT", sysSetsockopt, goesOn},
	209: {"getsockopt", "", sysGetsockopt, goesOn},
	210: {"shutdown", "", sysShutdown, goesOn},
	211: {"sendmsg", "", sysSendmsg, asked},
	212: {"recvmsg", "", sysRecvmsg, asked},
	215: {"munmap", "", sysMunmap, goesOn},
	220: {"clone", "threads and vfork; no copy of an address space: ENOSYS", sysClone, goesOn},
	221: {"execve", "static executables of the archive", sysExecve, goesOn},
	222: {"mmap", "no shared anonymous memory between processes, no huge pages", sysMmap, goesOn},
	226: {"mprotect", "", sysMprotect, goesOn},
	232: {"mincore", "of a memfd's pages those that were touched through the mapping", sysMincore, goesOn},
	233: {"madvise", "DONTNEED; FREE and advice without effect are accepted", sysMadvise, goesOn},
	242: {"accept4", "AF_INET", sysAccept4, asked},
	258: {"riscv_hwprobe", "the base, F, D, C and V, the clock's frequency and the highest address; other keys are unknown", sysHwprobe, goesOn},
	260: {"wait4", "no stopped children; of rusage the processor time and peak memory", sysWait4, asked},
	261: {"prlimit64", "limits are fixed", sysPrlimit64, goesOn},
	268: {"setns", "socket namespaces (CLONE_NEWNET)", sysSetns, goesOn},
	276: {"renameat2", "always EROFS", readOnly, goesOn},
	278: {"getrandom", "", sysGetrandom, asked},
	279: {"memfd_create", "no seals and huge pages", sysMemfdCreate, goesOn},
}
