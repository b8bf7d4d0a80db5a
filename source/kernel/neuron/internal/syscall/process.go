package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/program"
	"nexus/source/kernel/neuron/internal/random"
	"nexus/source/kernel/neuron/internal/rootfs"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/vm"
)

func sysGetpid(t *proc.Thread, a *Args) (int64, abi.Errno) { return int64(t.Process.ID), abi.OK }
func sysGettid(t *proc.Thread, a *Args) (int64, abi.Errno) { return int64(t.ID), abi.OK }

func sysGetppid(t *proc.Thread, a *Args) (int64, abi.Errno) {
	if t.Process.Parent == nil {
		return 0, abi.OK
	}
	return int64(t.Process.Parent.ID), abi.OK
}

func sysSetTidAddress(t *proc.Thread, a *Args) (int64, abi.Errno) {
	t.SetClearID(a[0])
	return int64(t.ID), abi.OK
}

func sysExit(t *proc.Thread, a *Args) (int64, abi.Errno) {
	t.Exit(int32(a[0]))
	return 0, abi.Blocked
}

func sysExitGroup(t *proc.Thread, a *Args) (int64, abi.Errno) {
	t.Process.Exit(t.Hart, int32(a[0]))
	return 0, abi.Blocked
}

// Flags of clone (uapi/linux/sched.h).
const (
	cloneVM           = 0x100
	cloneFS           = 0x200
	cloneFiles        = 0x400
	cloneSighand      = 0x800
	cloneVfork        = 0x4000
	cloneThread       = 0x10000
	cloneSysvsem      = 0x40000
	cloneSettls       = 0x80000
	cloneParentSettid = 0x100000
	cloneChildClear   = 0x200000
	cloneChildSettid  = 0x1000000

	cloneThreadNeeds = cloneVM | cloneFS | cloneFiles | cloneSighand | cloneThread
	cloneIDs         = cloneSettls | cloneParentSettid | cloneChildClear | cloneChildSettid
)

// sysClone: flags, stack, parent's word for the id, thread pointer, child's word.
func sysClone(t *proc.Thread, a *Args) (int64, abi.Errno) {
	flags := a[0]
	switch {
	case flags&^(cloneThreadNeeds|cloneSysvsem|cloneIDs) == 0 && flags&cloneThreadNeeds == cloneThreadNeeds:
		return cloneOne(t, a)
	case flags&^cloneIDs == cloneVM|cloneVfork|proc.SIGCHLD:
		return vfork(t, a)
	}
	return 0, abi.ENOSYS
}

func cloneOne(t *proc.Thread, a *Args) (int64, abi.Errno) {
	u, err := t.Clone(t.Process)
	if err != abi.OK {
		return 0, err
	}
	cloneDetails(t, u, a)
	u.Start()
	return int64(u.ID), abi.OK
}

func cloneDetails(t, u *proc.Thread, a *Args) {
	flags := a[0]
	if a[1] != 0 {
		u.X[arch.SP] = a[1]
	}
	if flags&cloneSettls != 0 {
		u.X[arch.TP] = a[3]
	}
	if flags&cloneParentSettid != 0 {
		user.StoreUint32(t.Memory(), a[2], uint32(u.ID))
	}
	if flags&cloneChildSettid != 0 {
		user.StoreUint32(t.Memory(), a[4], uint32(u.ID))
	}
	if flags&cloneChildClear != 0 {
		u.SetClearID(a[4])
	}
}

// vfork makes a process that borrows the address space until it executes; t waits meanwhile.
func vfork(t *proc.Thread, a *Args) (int64, abi.Errno) {
	p, err := proc.NewProcess(t.Process)
	if err != abi.OK {
		return 0, err
	}
	if err = t.Files().CopyTo(&p.Files); err == abi.OK {
		var u *proc.Thread
		if u, err = t.Clone(p); err == abi.OK {
			p.Space = t.Process.Space.Ref()
			p.Program = t.Process.Program.Ref()
			cloneDetails(t, u, a)
			u.Start()
			return 0, t.Forks(p)
		}
	}
	p.Files.Clear()
	p.Reap()
	return 0, err
}

func sysExecve(t *proc.Thread, a *Args) (int64, abi.Errno) {
	var p path
	o, err := p.find(t, abi.AT_FDCWD, a[0])
	if err != abi.OK {
		return 0, err
	}
	n, ok := node(o)
	if !ok || !n.Executable() {
		return 0, abi.EACCES
	}
	begins, ok := t.Stages()
	switch {
	case !ok:
		return 0, abi.Again
	case begins:
		program.Staged.Begin(a[1], a[2])
	}
	if err := program.Staged.Load(t.Memory()); err != abi.OK {
		return 0, err
	}
	return 0, execute(t, n)
}

// Start gives process 1 its first program.
func Start(t *proc.Thread, n *rootfs.Node) abi.Errno {
	if err := execute(t, n); err != abi.Blocked {
		return err
	}
	return abi.OK
}

// execute gives t's process the program in n with the staged arguments.
func execute(t *proc.Thread, n *rootfs.Node) abi.Errno {
	f := file.New(n, abi.O_RDONLY)
	if f == nil {
		return abi.ENFILE
	}
	l, err := program.Load(f, n, &program.Staged)
	if err != abi.OK {
		if l.Space != nil {
			l.Space.Release(t.Hart)
		}
		f.Release()
		return err
	}
	p := t.Process
	p.Exec(t, l.Space, f)
	p.SetName(program.Staged.Name(n.Path()))
	p.SignalReturn = l.SignalReturn
	t.ForgetRegisters()
	l.Enter(&t.Context)
	return abi.Blocked
}

// Options and kinds of wait4 and waitid (uapi/linux/wait.h).
const (
	waitNoHang  = 1
	waitExited  = 4
	waitNoReap  = 0x01000000
	waitOptions = 0xe000000b // WNOHANG, WUNTRACED, WCONTINUED, __WNOTHREAD, __WALL, __WCLONE
	waitKinds   = waitOptions | waitExited | waitNoReap
	waitAll     = 0
	waitPid     = 1
	siChldExit  = 1
	siChldKill  = 2
	rusageWords = 18
)

func sysWait4(t *proc.Thread, a *Args) (int64, abi.Errno) {
	if uint32(a[2])&^waitOptions != 0 {
		return 0, abi.EINVAL
	}
	id := a.Int(0)
	switch {
	case id == 0:
		id = -1 // all are in one process group,
	case id < -1:
		return 0, abi.ECHILD // which has no id
	}
	c, err := t.Wait(id, a[2]&waitNoHang == 0)
	if err != abi.OK || c == nil {
		return 0, err
	}
	if a[1] != 0 && !user.StoreUint32(t.Memory(), a[1], uint32(c.Status())) {
		return 0, abi.EFAULT
	}
	if a[3] != 0 && !storeUsage(t, a[3], c) {
		return 0, abi.EFAULT
	}
	id = c.ID
	c.Reap()
	return int64(id), abi.OK
}

// storeUsage writes struct rusage: user time, peak memory in KiB, the rest zero.
func storeUsage(t *proc.Thread, va uint64, c *proc.Process) bool {
	var b [8 * rusageWords]byte
	us := proc.Nanoseconds(c.CPU()) / 1000
	user.PutUint64(b[0:], us/1_000_000)
	user.PutUint64(b[8:], us%1_000_000)
	user.PutUint64(b[32:], uint64(c.Peak())*mem.PageSize/1024)
	return user.Store(t.Memory(), va, b[:]) == len(b)
}

func sysWaitid(t *proc.Thread, a *Args) (int64, abi.Errno) {
	if uint32(a[3])&^waitKinds != 0 {
		return 0, abi.EINVAL
	}
	id := -1
	switch a[0] {
	case waitAll:
	case waitPid:
		id = a.Int(1)
	default:
		return 0, abi.EINVAL
	}
	if a[3]&waitExited == 0 || a[0] == waitPid && id <= 0 {
		return 0, abi.EINVAL
	}
	c, err := t.Wait(id, a[3]&waitNoHang == 0)
	if err != abi.OK {
		return 0, err
	}
	var info [128]byte
	if c != nil {
		status := uint32(c.Status())
		code := uint32(siChldExit)
		value := status >> 8
		if status&0x7f != 0 {
			code, value = siChldKill, status&0x7f
		}
		user.PutUint32(info[0:], proc.SIGCHLD)
		user.PutUint32(info[8:], code)
		user.PutUint32(info[16:], uint32(c.ID))
		user.PutUint32(info[24:], value)
	}
	if a[2] != 0 && user.Store(t.Memory(), a[2], info[:]) != len(info) {
		return 0, abi.EFAULT
	}
	if a[4] != 0 && c != nil && !storeUsage(t, a[4], c) {
		return 0, abi.EFAULT
	}
	if c != nil && a[3]&waitNoReap == 0 {
		c.Reap()
	}
	return 0, abi.OK
}

func sysSchedYield(t *proc.Thread, a *Args) (int64, abi.Errno) {
	t.Yield()
	return 0, abi.OK
}

func sysSchedGetaffinity(t *proc.Thread, a *Args) (int64, abi.Errno) {
	if a[1] < 8 || a[1]%8 != 0 {
		return 0, abi.EINVAL
	}
	if id := a.Int(0); id != 0 && proc.Find(id) == nil && t.Process.Thread(id) == nil {
		return 0, abi.ESRCH
	}
	if !user.StoreUint64(t.Memory(), a[2], 1) {
		return 0, abi.EFAULT
	}
	return 8, abi.OK
}

func sysPrctl(t *proc.Thread, a *Args) (int64, abi.Errno) { return 0, abi.EINVAL }

// sysUname: six fields of 65 bytes. Programs that look at the release to find out what they may use see an old one.
func sysUname(t *proc.Thread, a *Args) (int64, abi.Errno) {
	const field = 65
	var b [6 * field]byte
	copy(b[0*field:], "Linux")
	copy(b[1*field:], "nexus")
	copy(b[2*field:], "5.4.0-neuron")
	copy(b[3*field:], "neuron")
	copy(b[4*field:], "riscv64")
	copy(b[5*field:], "(none)")
	if user.Store(t.Memory(), a[0], b[:]) != len(b) {
		return 0, abi.EFAULT
	}
	return 0, abi.OK
}

func sysPrlimit64(t *proc.Thread, a *Args) (int64, abi.Errno) {
	const (
		stack, processes, descriptors, addressSpace = 3, 6, 7, 9
		kinds                                       = 16
		infinity                                    = ^uint64(0)
	)
	switch id := a.Int(0); {
	case id == 0 || id == t.Process.ID:
	case proc.Find(id) == nil:
		return 0, abi.ESRCH
	default:
		return 0, abi.EPERM
	}
	limit := infinity
	switch a[1] {
	case stack:
		limit = vm.StackSize
	case processes:
		limit = proc.MaxThreads
	case descriptors:
		limit = file.MaxDescriptors
	default:
		if a[1] >= kinds {
			return 0, abi.EINVAL
		}
	}
	m := t.Memory()
	if a[2] != 0 {
		soft, ok := user.LoadUint64(m, a[2])
		hard, ok2 := user.LoadUint64(m, a[2]+8)
		switch {
		case !ok || !ok2:
			return 0, abi.EFAULT
		case soft != limit || hard != limit:
			return 0, abi.EPERM
		}
	}
	if a[3] != 0 && !(user.StoreUint64(m, a[3], limit) && user.StoreUint64(m, a[3]+8, limit)) {
		return 0, abi.EFAULT
	}
	return 0, abi.OK
}

// Flags of getrandom.
const (
	grndNonblock = 1
	grndRandom   = 2
	grndInsecure = 4
)

func sysGetrandom(t *proc.Thread, a *Args) (int64, abi.Errno) {
	flags := uint32(a[2])
	bytes(t, a[0], a[1])
	switch {
	case flags&^(grndNonblock|grndRandom|grndInsecure) != 0, flags&grndRandom != 0 && flags&grndInsecure != 0:
		return 0, abi.EINVAL
	case random.Seeded() || flags&grndInsecure != 0:
	case flags&grndNonblock != 0:
		return 0, abi.EAGAIN
	default:
		return 0, t.Block(&random.Seeding, abi.EPOLLIN)
	}
	n, err := random.Read(&t.Rest)
	t.Done += n
	switch {
	case err == abi.Again && !t.Signalled(): // as on Linux a signal ends it with what there is
		return 0, err
	case t.Done > 0:
		return int64(t.Done), abi.OK
	}
	return 0, err
}
