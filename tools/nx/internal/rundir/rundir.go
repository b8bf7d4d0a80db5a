// Package rundir is where guests that run side by side are known by name: a run
// directory with a folder for each guest, which its runner keeps locked for as
// long as it lives.
//
// The lock is the truth about life: a guest whose lock is free has ended, and
// has died if its state says otherwise. The folders of guests that ended stay,
// the newest Kept of them, for who wants to read what they said.
//
// A folder is made under a hidden name, locked, and only then renamed to the
// guest's; it is removed by who holds its lock. So any number of runners and
// readers work at once, and no state is seen half made.
package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
)

// Environment is the variable that names the run directory.
const Environment = "NEXUS_RUN"

// Kept is how many guests that ended are kept.
const Kept = 8

// MaxName is the longest name of a guest.
const MaxName = 32

// maxSocket is the longest path of a unix socket, sun_path less its NUL.
const maxSocket = 107

// Files of a guest's folder.
const (
	StateFile   = "guest.json"
	LockFile    = "lock"
	ConsoleFile = "console.log"
	ReportFile  = "report.json"
	CaptureFile = "wire.pcap"
	SocketFile  = "control.sock"
	TreeFile    = "tree.dtb"
)

// What this package refuses; each message says what to do.
var (
	ErrDirectory = errors.New("run directory")
	ErrName      = errors.New("invalid name of a guest")
	ErrInUse     = errors.New("the name is in use")
	ErrNoGuest   = errors.New("no guest is running")
	ErrUnknown   = errors.New("no such guest")
	ErrSeveral   = errors.New("several guests are running")
	ErrEnded     = errors.New("the guest has ended")
)

const hint = "; set $" + Environment + " to a folder of your own"

// Root is a run directory.
type Root struct {
	path string
}

// Default is the run directory's path: $NEXUS_RUN, else nexus in
// $XDG_RUNTIME_DIR where that is a folder of this user, else /tmp/nexus-UID.
func Default() string {
	if path := os.Getenv(Environment); path != "" {
		return path
	}
	if base := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(base) {
		if info, err := os.Stat(base); err == nil && info.IsDir() && owner(info) == os.Geteuid() {
			return filepath.Join(base, "nexus")
		}
	}
	return fmt.Sprintf("/tmp/nexus-%d", os.Geteuid())
}

// Make opens the run directory path, and makes it where there is none.
func Make(path string) (*Root, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDirectory, err)
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%w cannot be made: %w%s", ErrDirectory, err, hint)
	}
	return open(path)
}

// Open opens the run directory path for reading what is in it. Where there is
// none it has no guests.
func Open(path string) (*Root, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDirectory, err)
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return &Root{path}, nil
	}
	return open(path)
}

// open refuses a folder that somebody else could have filled.
func open(path string) (*Root, error) {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w%s", ErrDirectory, err, hint)
	case !info.IsDir():
		return nil, fmt.Errorf("%w %s is not a directory%s", ErrDirectory, path, hint)
	case owner(info) != os.Geteuid():
		return nil, fmt.Errorf("%w %s belongs to user %d, not to %d%s", ErrDirectory, path, owner(info), os.Geteuid(), hint)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%w %s is open to others (mode %04o): run `chmod 700 %s`, or set $%s", ErrDirectory, path, info.Mode().Perm(), path, Environment)
	}
	return &Root{path}, nil
}

// owner is the user that a file belongs to, or -1.
func owner(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}

var nameText = regexp.MustCompile(`^[a-z0-9-]+$`)

// CheckName says whether name can be a guest's.
func CheckName(name string) error {
	if len(name) > MaxName || !nameText.MatchString(name) {
		return fmt.Errorf("%w: %q is not 1 to %d of a-z, 0-9 and -", ErrName, name, MaxName)
	}
	return nil
}
