package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// passing bounds waiting for somebody who only looks at a lock or removes what
// it guards.
const passing = 5 * time.Second

// errHeld says that somebody else has a lock, errGone that what it guarded was
// moved away meanwhile.
var (
	errHeld = errors.New("locked")
	errGone = errors.New("gone")
)

// acquire takes the lock of folder dir, at once or not at all.
func acquire(dir string) (*os.File, error) {
	return lock(dir, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
}

// acquireSoon takes the lock of folder dir whose holder is about to let go.
func acquireSoon(dir string) (*os.File, error) {
	return lock(dir, func(fd int) error {
		taken := make(chan error, 1)
		go func() { taken <- retry(func() error { return unix.Flock(fd, unix.LOCK_EX) }) }()
		select {
		case err := <-taken:
			return err
		case <-time.After(passing):
			return unix.EWOULDBLOCK
		}
	})
}

// lock opens the lock of folder dir, takes it and makes sure that it still is
// the lock of what bears that name.
func lock(dir string, take func(fd int) error) (*os.File, error) {
	path := filepath.Join(dir, LockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errGone
	}
	if err != nil {
		return nil, err
	}
	if err := take(int(f.Fd())); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errHeld
		}
		f.Close()
		return nil, err
	}
	mine, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	if now, err := os.Lstat(path); err != nil || !os.SameFile(mine, now) {
		f.Close()
		return nil, errGone
	}
	return f, nil
}

// held tells whether a runner has the lock of folder dir. Readers share it, so
// they do not take each other for one.
func held(dir string) (bool, error) {
	f, err := os.OpenFile(filepath.Join(dir, LockFile), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrDirectory, err)
	}
	defer f.Close()
	err = retry(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// retry repeats a call that a signal broke off.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
