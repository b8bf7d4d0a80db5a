package generate

// A story is a few steps that make only some of the calls, all about the same few things. Faults of order and of sharing, such as a
// descriptor that is closed while it is under way through itself, need several calls to meet, which calls by chance hardly do.
type story struct {
	about kind // of the things; 0 is a page
	calls []string
	index []int // of templates
}

var stories = []story{
	{about: unixStream, calls: []string{"sendmsg", "sendmsg", "close", "read", "recvfrom", "recvmsg"}},
	{about: unix, calls: []string{"sendmsg", "sendto", "write", "close", "read", "recvmsg", "shutdown", "socketpair", "dup", "epoll_ctl"}},
	{about: pipeRead | pipeWrite, calls: []string{"read", "write", "close", "pipe2", "dup3", "ppoll", "fcntl", "epoll_ctl", "writev", "readv"}},
	{calls: []string{"mmap", "mmap", "touch", "touch", "mprotect", "munmap", "madvise"}},
	{about: memory, calls: []string{"mmap", "touch", "ftruncate", "pwrite64", "pread64", "munmap", "mprotect", "memfd_create", "close"}},
	{about: node, calls: []string{"mmap", "mmap", "touch", "touch", "mprotect", "mprotect", "read"}},
	{calls: []string{"futex", "futex", "futex", "munmap", "mmap", "madvise", "touch"}},
	{about: poller, calls: []string{"epoll_ctl", "epoll_ctl", "epoll_pwait", "close", "dup", "dup3", "write", "read", "epoll_create1", "eventfd2"}},
	{about: event | pipeRead, calls: []string{"ppoll", "futex", "write", "tgkill", "read", "rt_sigprocmask", "nanosleep"}},
	{about: pipeWrite | unixStream, calls: []string{"write", "write", "sendto", "tgkill", "writev", "read", "ppoll"}},
	{calls: []string{"vast", "vast", "mprotect", "madvise"}},
	{about: memory, calls: []string{"ftruncate", "readv", "writev", "pread64", "pwrite64", "lseek"}},
	{about: child, calls: []string{"clone", "kill", "wait4", "waitid", "kill", "sched_yield"}},
	{about: inet, calls: []string{"socket", "bind", "connect", "listen", "accept4", "sendmsg", "read", "write", "close", "setns", "shutdown", "ppoll"}},
	{about: server, calls: []string{"sendmsg", "sendmsg", "recvmsg", "read", "socket", "connect", "close", "accept", "epoll_ctl"}},
	{about: interrupt | register | dma | namespace, calls: []string{"openat", "openat", "mmap", "touch", "read", "write", "close", "ftruncate", "epoll_ctl", "setns"}},
	{about: thread, calls: []string{"tgkill", "tkill", "rt_sigaction", "rt_sigprocmask", "sigaltstack", "nanosleep", "ppoll", "read"}},
}

// waiting is what handlers often do.
var waiting = story{calls: []string{"futex", "futex", "read", "write", "ppoll", "nanosleep", "epoll_pwait", "close"}}

// tell begins a story.
func (g *gen) tell() {
	g.story = &stories[g.r.IntN(len(stories))]
	g.left = 4 + g.r.IntN(14)
	g.refocus()
	if g.story.about == 0 {
		return
	}
	if v, ok := g.of(g.story.about); ok && v.Slot {
		n := uint8(v.Number)
		g.focus = [4]uint8{n, g.partner[n], n, g.partner[n]}
	}
}
