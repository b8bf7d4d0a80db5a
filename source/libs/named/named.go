// Package named opens and judges the files that whoever runs a tool has named. What is read is a regular file of a bounded size: a
// device may never end, and the opening of a named pipe waits for its writer.
package named

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// What Open refuses, inside a *fs.PathError.
var (
	ErrKind  = errors.New("not a regular file")
	ErrEmpty = errors.New("the file is empty")
	ErrSize  = errors.New("the file is too large")
)

// Open opens the regular file path, which has at least one byte and at most limit.
func Open(path string, limit int64) (*os.File, error) {
	// Without O_NONBLOCK opening a named pipe would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := check(f, limit); err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return f, nil
}

func check(f *os.File, limit int64) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return syscall.EISDIR
	case !info.Mode().IsRegular():
		return ErrKind
	case info.Size() == 0:
		return ErrEmpty
	case info.Size() > limit:
		return fmt.Errorf("%w: %d bytes, at most %d can be", ErrSize, info.Size(), limit)
	}
	return nil
}

// Read reads the whole of the regular file path, which has at least one byte and at most limit.
func Read(path string, limit int64) ([]byte, error) {
	f, err := Open(path, limit)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit)) // it may grow meanwhile
}

// Writable says why the file path could not be written, without making or changing it; nil where nothing speaks against it.
func Writable(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && path != "":
		err = access("create", path, filepath.Dir(path), unix.W_OK|unix.X_OK)
	case err == nil && info.IsDir():
		err = &fs.PathError{Op: "open", Path: path, Err: syscall.EISDIR}
	case err == nil:
		err = access("open", path, path, unix.W_OK)
	}
	if err != nil {
		return fmt.Errorf("%w: name a file in a folder that can be written to", err)
	}
	return nil
}

func access(op, path, needed string, mode uint32) error {
	if err := unix.Access(needed, mode); err != nil {
		return &fs.PathError{Op: op, Path: path, Err: err}
	}
	return nil
}
