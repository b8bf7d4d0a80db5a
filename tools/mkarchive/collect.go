package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"nexus/tools/mkarchive/newc"
)

// collect reads what the DEST=SRC arguments name. Where epoch, SOURCE_DATE_EPOCH's value, is not empty, it is the time of every file,
// in seconds since 1970 (reproducible-builds.org's specification); else each has its own.
func collect(arguments []string, epoch string) ([]newc.File, error) {
	files, err := collectAll(arguments)
	if err != nil || epoch == "" {
		return files, err
	}
	seconds, err := strconv.ParseUint(epoch, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	for i := range files {
		files[i].Time = uint32(seconds)
	}
	return files, nil
}

func collectAll(arguments []string) ([]newc.File, error) {
	var files []newc.File
	for _, argument := range arguments {
		destination, source, ok := strings.Cut(argument, "=")
		if !ok || !path.IsAbs(destination) || source == "" {
			return nil, fmt.Errorf("%q is not DEST=SRC with an absolute DEST", argument)
		}
		info, err := os.Stat(source)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			f, err := read(destination, source)
			if err != nil {
				return nil, err
			}
			files = append(files, f)
			continue
		}
		below, err := collectTree(destination, source)
		if err != nil {
			return nil, err
		}
		files = append(files, below...)
	}
	return files, nil
}

// collectTree reads the regular files below a directory. Anything else there but directories is an error: the archive
// cannot hold it.
func collectTree(destination, root string) ([]newc.File, error) {
	var files []newc.File
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return nil
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s: neither a regular file nor a directory", name)
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f, err := read(path.Join(destination, filepath.ToSlash(relative)), name)
		files = append(files, f)
		return err
	})
	return files, err
}

func read(destination, source string) (newc.File, error) {
	data, err := os.ReadFile(source)
	if err != nil {
		return newc.File{}, err
	}
	info, err := os.Stat(source)
	if err != nil {
		return newc.File{}, err
	}
	name := strings.TrimPrefix(path.Clean(destination), "/")
	return newc.File{Path: name, Mode: mode(name), Data: data, Time: uint32(info.ModTime().Unix())}, nil
}

// mode gives programs the right to be executed, by where they go and not by what the build machine's umask said.
func mode(name string) uint32 {
	if name == "init" || strings.HasPrefix(name, "bin/") || strings.HasPrefix(name, "tests/") {
		return 0o755
	}
	return 0o644
}
