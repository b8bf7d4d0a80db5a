// Package store reads package files under one directory and nothing else.
package store

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"nexus/source/api/pkgapi"
	"nexus/source/api/refusal"
)

// Store is a directory of packages. It is safe for concurrent use.
type Store struct{ root *os.Root }

// Open opens the directory.
func Open(directory string) (*Store, error) {
	root, err := os.OpenRoot(directory)
	if err != nil {
		return nil, err
	}
	return &Store{root}, nil
}

// Close closes the directory.
func (s *Store) Close() error { return s.root.Close() }

// What is refused, beside pkgapi.ErrPath.
var (
	errNone = refusal.New(syscall.ENOENT, "no such package file: add it under pkg/ and build the boot archive")
	errKind = refusal.New(syscall.EISDIR, "not a plain file: name a file of the package")
)

// Stat implements pkgapi.Files.
func (s *Store) Stat(path string) (size uint64, err error) {
	f, size, err := s.open(path)
	if err != nil {
		return 0, err
	}
	return size, f.Close()
}

// ReadAt implements pkgapi.Files.
func (s *Store) ReadAt(path string, data []byte, offset uint64) (n int, size uint64, err error) {
	f, size, err := s.open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	if offset >= size {
		return 0, size, nil
	}
	n, err = f.ReadAt(data, int64(offset)) // a file is never larger than an int64 counts
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, err
	}
	return n, size, nil
}

// open opens a plain file. The path is checked here as well as by whoever spoke
// to the client, and os.Root refuses what a link would lead to.
func (s *Store) open(path string) (*os.File, uint64, error) {
	if !pkgapi.ValidPath(path) {
		return nil, 0, pkgapi.ErrPath
	}
	// Without O_NONBLOCK a FIFO would hold the service up.
	f, err := s.root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, 0, errNone
	case err != nil:
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errKind
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, uint64(info.Size()), nil
}
