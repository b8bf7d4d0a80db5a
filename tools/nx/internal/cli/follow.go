package cli

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"nexus/tools/nx/internal/rundir"
)

// logWatch waits for more of a guest's log, and for the guest's end.
type logWatch struct {
	inotify int
	runner  *rundir.Process
	quit    *os.File // can be read when the context has ended
	stop    func() bool
	ended   bool // the guest has
}

// watchLog watches the log of a guest; rundir.ErrEnded says that it will not grow.
func watchLog(ctx context.Context, g rundir.Info) (*logWatch, error) {
	runner, err := g.Runner()
	if err != nil {
		return nil, err
	}
	w := &logWatch{runner: runner, inotify: -1, stop: func() bool { return true }}
	quit, end, err := os.Pipe()
	if err != nil {
		w.close()
		return nil, err
	}
	w.quit = quit
	w.stop = context.AfterFunc(ctx, func() { _ = end.Close() }) // its other end sees it
	if w.inotify, err = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK); err != nil {
		w.close()
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	if _, err := unix.InotifyAddWatch(w.inotify, g.Path(rundir.ConsoleFile), unix.IN_MODIFY); err != nil {
		w.close()
		return nil, os.NewSyscallError("inotify_add_watch", err)
	}
	return w, nil
}

// next blocks until there may be more, the guest has ended, or the context has.
func (w *logWatch) next() error {
	fds := []unix.PollFd{
		{Fd: int32(w.inotify), Events: unix.POLLIN},
		{Fd: int32(w.runner.FD()), Events: unix.POLLIN},
		{Fd: int32(w.quit.Fd()), Events: unix.POLLIN},
	}
	for {
		_, err := unix.Poll(fds, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("poll", err)
		}
		break
	}
	w.ended = fds[1].Revents != 0
	// What the events say is known: there is more.
	var events [4096]byte
	if _, err := unix.Read(w.inotify, events[:]); err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
		return os.NewSyscallError("inotify", err)
	}
	return nil
}

func (w *logWatch) close() {
	w.stop()
	w.runner.Close()
	if w.quit != nil {
		_ = w.quit.Close()
	}
	if w.inotify >= 0 {
		_ = unix.Close(w.inotify)
	}
}
