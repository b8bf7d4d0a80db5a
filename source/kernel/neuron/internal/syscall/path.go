package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/archive"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/program"
	"nexus/source/kernel/neuron/internal/rootfs"
	"nexus/source/kernel/neuron/internal/user"
)

func node(o file.Object) (*rootfs.Node, bool) {
	n, ok := o.(*rootfs.Node)
	return n, ok
}

// A path is a name that a program gave, and its clean form from the root.
type path struct {
	raw, buffer [proc.MaxPath]byte
	length      int
	cleanLength int
	directory   bool // it must be one
}

func (p *path) name() []byte { return p.raw[:p.length] }

func (p *path) clean() []byte { return p.buffer[:p.cleanLength] }

// load takes the name at va.
func (p *path) load(t *proc.Thread, va uint64) abi.Errno {
	n, err := program.String(t.Memory(), va, p.raw[:])
	p.length = n
	return err
}

// resolve makes the name clean, as seen from descriptor dirfd.
func (p *path) resolve(t *proc.Thread, dirfd int) abi.Errno {
	if p.length == 0 {
		return abi.ENOENT
	}
	from := t.Process.Directory[:t.Process.DirectoryLength]
	if p.raw[0] != '/' && dirfd != abi.AT_FDCWD {
		f, err := t.Files().Get(dirfd)
		if err != abi.OK {
			return err
		}
		n, ok := node(f.Object)
		if !ok || !n.IsDirectory() {
			return abi.ENOTDIR
		}
		from = n.Path()
	}
	clean, directory, ok := archive.Clean(p.buffer[:], from, p.name())
	if !ok {
		return abi.ENAMETOOLONG
	}
	p.cleanLength, p.directory = len(clean), directory
	return abi.OK
}

// lookup finds what the path names; /proc/self/exe is what the process executes.
func (p *path) lookup(t *proc.Thread) (file.Object, abi.Errno) {
	var o file.Object
	if string(p.clean()) == "/proc/self/exe" {
		o = t.Process.Program.Object
	} else if o = rootfs.Lookup(p.clean()); o == nil {
		return nil, p.missing()
	}
	if n, ok := node(o); p.directory && !(ok && n.IsDirectory()) {
		return nil, abi.ENOTDIR
	}
	return o, abi.OK
}

// missing tells a path that leads through a file from one that leads nowhere.
func (p *path) missing() abi.Errno {
	clean := p.clean()
	for i := len(clean) - 1; i > 0; i-- {
		if clean[i] != '/' {
			continue
		}
		if o := rootfs.Lookup(clean[:i]); o != nil {
			if n, ok := node(o); !ok || !n.IsDirectory() {
				return abi.ENOTDIR
			}
		}
	}
	return abi.ENOENT
}

// inDirectory reports whether the directory is there that a missing path's last part would be made in.
func (p *path) inDirectory() bool {
	clean := p.clean()
	i := len(clean) - 1
	for clean[i] != '/' {
		i--
	}
	return i == 0 || rootfs.Lookup(clean[:i]) != nil
}

// find does all three.
func (p *path) find(t *proc.Thread, dirfd int, va uint64) (file.Object, abi.Errno) {
	if err := p.load(t, va); err != abi.OK {
		return nil, err
	}
	if err := p.resolve(t, dirfd); err != abi.OK {
		return nil, err
	}
	return p.lookup(t)
}

func sysOpenat(t *proc.Thread, a *Args) (int64, abi.Errno) {
	var p path
	dirfd, flags := a.Int(0), uint32(a[2])
	if err := p.load(t, a[1]); err != abi.OK {
		return 0, err
	}
	o, err, ok := special(t, dirfd, p.name())
	if !ok {
		o, err = openFile(t, &p, dirfd, flags)
	}
	if err != abi.OK {
		return 0, err
	}
	return install(t, o, flags)
}

func openFile(t *proc.Thread, p *path, dirfd int, flags uint32) (file.Object, abi.Errno) {
	if err := p.resolve(t, dirfd); err != abi.OK {
		return nil, err
	}
	o, err := p.lookup(t)
	if err == abi.ENOENT && flags&abi.O_CREAT != 0 && p.inDirectory() {
		return nil, abi.EROFS
	}
	if err != abi.OK {
		return nil, err
	}
	n, ok := node(o)
	writes := flags&abi.O_ACCMODE != abi.O_RDONLY || flags&abi.O_TRUNC != 0
	switch {
	case flags&(abi.O_CREAT|abi.O_EXCL) == abi.O_CREAT|abi.O_EXCL:
		return nil, abi.EEXIST
	case flags&abi.O_DIRECTORY != 0 && !(ok && n.IsDirectory()):
		return nil, abi.ENOTDIR
	case ok && n.IsDirectory() && (writes || flags&abi.O_CREAT != 0):
		return nil, abi.EISDIR
	case ok && writes:
		return nil, abi.EROFS
	}
	return o, abi.OK
}

// install opens o as a new descriptor. On an error o is closed.
func install(t *proc.Thread, o file.Object, flags uint32) (int64, abi.Errno) {
	const kept = abi.O_ACCMODE | abi.O_NONBLOCK | abi.O_APPEND
	f := file.New(o, flags&kept)
	if f == nil {
		o.Close()
		return 0, abi.ENFILE
	}
	fd, err := t.Files().Install(f, 0, flags&abi.O_CLOEXEC != 0)
	if err != abi.OK {
		f.Release()
	}
	return int64(fd), err
}

func sysNewfstatat(t *proc.Thread, a *Args) (int64, abi.Errno) {
	var p path
	if err := p.load(t, a[1]); err != abi.OK {
		return 0, err
	}
	if p.length == 0 && a[3]&abi.AT_EMPTY_PATH != 0 {
		return sysFstat(t, &Args{a[0], a[2]})
	}
	if err := p.resolve(t, a.Int(0)); err != abi.OK {
		return 0, err
	}
	o, err := p.lookup(t)
	if err != abi.OK {
		return 0, err
	}
	var st abi.Stat
	file.Stat(o, &st)
	return 0, storeStat(t, &st, a[2])
}

func sysFaccessat(t *proc.Thread, a *Args) (int64, abi.Errno) {
	const mayExecute, mayWrite = 1, 2
	var p path
	o, err := p.find(t, a.Int(0), a[1])
	if err != abi.OK {
		return 0, err
	}
	n, ok := node(o)
	switch {
	case a[2]&^7 != 0:
		return 0, abi.EINVAL
	case ok && a[2]&mayWrite != 0:
		return 0, abi.EROFS
	case a[2]&mayExecute != 0 && !(ok && (n.IsDirectory() || n.Executable())):
		return 0, abi.EACCES
	}
	return 0, abi.OK
}

func sysReadlinkat(t *proc.Thread, a *Args) (int64, abi.Errno) {
	var p path
	if _, err := p.find(t, a.Int(0), a[1]); err != abi.OK {
		return 0, err
	}
	n, ok := node(t.Process.Program.Object)
	if string(p.clean()) != "/proc/self/exe" || !ok || int64(a[3]) <= 0 {
		return 0, abi.EINVAL
	}
	b := user.Range(t.Memory(), a[2], a[3])
	slash := [1]byte{'/'}
	k, ok := b.Put(slash[:])
	if ok {
		var m int
		m, ok = b.Put(n.Path())
		k += m
	}
	if !ok {
		return 0, abi.EFAULT
	}
	return int64(k), abi.OK
}

func sysChdir(t *proc.Thread, a *Args) (int64, abi.Errno) {
	var p path
	o, err := p.find(t, abi.AT_FDCWD, a[0])
	if err != abi.OK {
		return 0, err
	}
	if n, ok := node(o); !ok || !n.IsDirectory() {
		return 0, abi.ENOTDIR
	}
	t.Process.DirectoryLength = copy(t.Process.Directory[:], p.clean())
	return 0, abi.OK
}

func sysFchdir(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := t.Files().Get(a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	n, ok := node(f.Object)
	if !ok || !n.IsDirectory() {
		return 0, abi.ENOTDIR
	}
	d := &t.Process.Directory // of which [0] is always the slash
	t.Process.DirectoryLength = 1 + copy(d[1:], n.Path())
	return 0, abi.OK
}

func sysGetcwd(t *proc.Thread, a *Args) (int64, abi.Errno) {
	p := t.Process
	n := p.DirectoryLength
	if a[1] < uint64(n)+1 {
		return 0, abi.ERANGE
	}
	b := user.Range(t.Memory(), a[0], a[1])
	zero := [1]byte{}
	_, ok := b.Put(p.Directory[:n])
	_, ok2 := b.Put(zero[:])
	if !ok || !ok2 {
		return 0, abi.EFAULT
	}
	return int64(n) + 1, abi.OK
}
