package supervise

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"nexus/source/init/nexus-init/devices"
)

// maxProcesses bounds the text of the kernel's list of processes, in bytes.
const maxProcesses = 64 << 10

// errProcesses says that the kernel's list of processes cannot be read.
var errProcesses = errors.New("list of processes")

// usage is the memory of one process, in KiB.
type usage struct {
	pid         int
	name        string // the kernel's
	rss, shared int64
}

// readUsage reads the kernel's list of processes.
func readUsage(directory devices.Directory) ([]usage, error) {
	fd, err := directory.Open(devices.NameProcesses)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProcesses, err)
	}
	f := os.NewFile(uintptr(fd), devices.NameProcesses)
	defer f.Close()
	return parseUsage(io.LimitReader(f, maxProcesses))
}

// parseUsage reads lines of "PID PPID NAME rss=KiB shared=KiB ...". A name may
// hold spaces; what follows it has none.
func parseUsage(r io.Reader) ([]usage, error) {
	var all []usage
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		u, err := parseProcess(scanner.Text())
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errProcesses, err)
	}
	return all, nil
}

func parseProcess(line string) (usage, error) {
	fields := strings.Fields(line)
	var u usage
	var err error
	if len(fields) >= 3 {
		u.name = fields[2]
		u.pid, err = strconv.Atoi(fields[0])
	} else {
		err = errors.New("fewer than three fields")
	}
	for _, field := range fields {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "rss":
			u.rss, err = number(value, err)
		case "shared":
			u.shared, err = number(value, err)
		}
	}
	if err != nil {
		return u, fmt.Errorf("%w: line %.80q: %w", errProcesses, line, err)
	}
	return u, nil
}

// number reads a count unless something was wrong before.
func number(text string, before error) (int64, error) {
	if before != nil {
		return 0, before
	}
	return strconv.ParseInt(text, 10, 64)
}
