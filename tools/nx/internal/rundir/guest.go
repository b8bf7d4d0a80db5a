package rundir

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// hidden begins the names of folders that are being made or removed.
const hidden = "."

// tries bounds how often Create starts again when others are quicker.
const tries = 1000

// Guest is a guest's folder in the hands of its runner.
type Guest struct {
	root *Root
	name string
	lock *os.File

	mu    sync.Mutex
	state State
}

// Create makes the folder of a new guest with the state first, whose name,
// process and time it fills in. Without a name it is g1, g2, … whichever is the
// first that no folder has. The folder of a guest of that name which ended is
// replaced; ErrInUse says that one is running.
func (r *Root) Create(name string, first State) (*Guest, error) {
	if name != "" {
		if err := CheckName(name); err != nil {
			return nil, err
		}
	}
	r.clean()
	for range tries {
		g, err := r.create(name, first)
		if errors.Is(err, errGone) || name == "" && errors.Is(err, fs.ErrExist) {
			continue // somebody was quicker
		}
		if errors.Is(err, fs.ErrExist) {
			if err := r.replace(name); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil && !errors.Is(err, ErrDirectory) {
			err = fmt.Errorf("%w %s cannot be written: %w%s", ErrDirectory, r.path, err, hint)
		}
		return g, err
	}
	return nil, fmt.Errorf("%w %s: gave up making a folder for %q after %d tries", ErrDirectory, r.path, name, tries)
}

// create makes the folder under a hidden name and moves it to its place.
func (r *Root) create(name string, first State) (*Guest, error) {
	dir, err := os.MkdirTemp(r.path, hidden+"new-")
	if err != nil {
		return nil, err
	}
	g := &Guest{root: r, state: first}
	if g.lock, err = acquire(dir); err != nil {
		if errors.Is(err, errHeld) {
			err = errGone // a cleaner took it for a leftover
		}
		_ = os.RemoveAll(dir)
		return nil, err
	}
	if name == "" {
		name, err = r.free()
	}
	if err == nil {
		err = g.settle(dir, name)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		g.lock.Close()
		return nil, err
	}
	return g, nil
}

// settle completes the folder dir and renames it.
func (g *Guest) settle(dir, name string) error {
	to := filepath.Join(g.root.path, name)
	if n := len(filepath.Join(to, SocketFile)); n > maxSocket {
		return fmt.Errorf("%w %s: its path is too long for unix sockets in it, by %d bytes; set $%s to a shorter one", ErrDirectory, g.root.path, n-maxSocket, Environment)
	}
	g.name = name
	g.state.Name, g.state.PID, g.state.Phase = name, os.Getpid(), Booting
	g.state.Started = time.Now().UTC()
	if err := write(dir, g.state); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, ConsoleFile), nil, 0o600); err != nil {
		return err
	}
	return unix.Renameat2(unix.AT_FDCWD, dir, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
}

// free is the first of g1, g2, … that no folder has.
func (r *Root) free() (string, error) {
	taken := map[string]bool{}
	entries, err := os.ReadDir(r.path)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		taken[e.Name()] = true
	}
	for n := 1; ; n++ {
		if name := "g" + strconv.Itoa(n); !taken[name] {
			return name, nil
		}
	}
}

// replace removes the folder of the guest name, which must have ended.
func (r *Root) replace(name string) error {
	dir := filepath.Join(r.path, name)
	lock, err := acquire(dir)
	if errors.Is(err, errHeld) {
		info, e := r.read(name)
		if e == nil && info.Phase.Running() {
			return fmt.Errorf("%w: %s is a running guest, of process %d; end it with `nx stop %s`, or boot with another --name", ErrInUse, name, info.PID, name)
		}
		lock, err = acquireSoon(dir)
	}
	if errors.Is(err, errGone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w %s: %w", ErrDirectory, dir, err)
	}
	defer lock.Close()
	return r.remove(name)
}

// remove takes the folder name away. The caller holds its lock.
func (r *Root) remove(name string) error {
	away := filepath.Join(r.path, hidden+"old-"+rand.Text())
	if err := os.Rename(filepath.Join(r.path, name), away); err != nil {
		return fmt.Errorf("%w: %w", ErrDirectory, err)
	}
	return os.RemoveAll(away)
}

// clean removes what ended guests left beyond the newest Kept, and what was
// left by who was killed while making or removing a folder. What it cannot
// remove it leaves to the next.
func (r *Root) clean() {
	entries, err := os.ReadDir(r.path)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), hidden) {
			r.discard(e.Name())
		}
	}
	guests, err := r.List()
	if err != nil {
		return
	}
	ended := 0
	for i := len(guests) - 1; i >= 0; i-- { // the newest first
		if guests[i].Phase.Running() {
			continue
		}
		if ended++; ended > Kept {
			r.discard(guests[i].Name)
		}
	}
}

// discard removes a folder that nobody holds.
func (r *Root) discard(name string) {
	dir := filepath.Join(r.path, name)
	lock, err := acquire(dir)
	if err != nil {
		return
	}
	defer lock.Close()
	if strings.HasPrefix(name, hidden) {
		_ = os.RemoveAll(dir)
		return
	}
	_ = r.remove(name)
}

// Name is the guest's name.
func (g *Guest) Name() string { return g.name }

// Path is the path of a file in the guest's folder.
func (g *Guest) Path(file string) string { return filepath.Join(g.root.path, g.name, file) }

// Update changes the guest's state and writes it, whole or not at all.
func (g *Guest) Update(change func(*State)) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.still(); err != nil {
		return err
	}
	change(&g.state)
	if err := write(filepath.Join(g.root.path, g.name), g.state); err != nil {
		return fmt.Errorf("%w: %w", ErrDirectory, err)
	}
	return nil
}

// still refuses a folder that somebody took away, and perhaps made anew.
func (g *Guest) still() error {
	mine, err := g.lock.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDirectory, err)
	}
	if now, err := os.Lstat(g.Path(LockFile)); err != nil || !os.SameFile(mine, now) {
		return fmt.Errorf("%w: the folder of %s was taken away from its runner", ErrDirectory, g.name)
	}
	return nil
}

// Close lets go of the guest's folder, which stays to be read; forget removes it.
// The state should say by now that the guest ended.
func (g *Guest) Close(forget bool) error {
	if forget {
		defer g.lock.Close()
		if err := g.still(); err != nil {
			return err
		}
		return g.root.remove(g.name)
	}
	err := g.lock.Close()
	g.root.clean()
	return err
}

// write puts the state into folder dir by rename.
func write(dir string, s State) error {
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	next := filepath.Join(dir, StateFile+".new")
	if err := os.WriteFile(next, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(dir, StateFile))
}
