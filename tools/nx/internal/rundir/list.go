package rundir

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Info is a guest as a reader sees it.
type Info struct {
	State
	Dir string `json:"dir"` // its folder
}

// Path is the path of a file in the guest's folder.
func (i Info) Path(file string) string { return filepath.Join(i.Dir, file) }

// List gives the guests, ended ones too, in the order in which they started. A
// folder that is no guest's is left out.
func (r *Root) List() ([]Info, error) {
	entries, err := os.ReadDir(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDirectory, err)
	}
	var guests []Info
	for _, e := range entries {
		if !e.IsDir() || CheckName(e.Name()) != nil {
			continue
		}
		if info, err := r.read(e.Name()); err == nil {
			guests = append(guests, info)
		}
	}
	slices.SortFunc(guests, func(a, b Info) int {
		return cmp.Or(a.Started.Compare(b.Started), strings.Compare(a.Name, b.Name))
	})
	return guests, nil
}

// Running gives the guests that have a runner.
func (r *Root) Running() ([]Info, error) {
	guests, err := r.List()
	return slices.DeleteFunc(guests, func(i Info) bool { return !i.Phase.Running() }), err
}

// read reads one guest. The state is read after the lock was looked at: a
// runner writes its last state before it lets go.
func (r *Root) read(name string) (Info, error) {
	dir := filepath.Join(r.path, name)
	var s State
	// A new guest of the same name may take the place of one that ended between
	// the two looks; not twice.
	for range 2 {
		alive, err := held(dir)
		if err != nil {
			return Info{}, err
		}
		if s, err = readState(dir); err != nil {
			return Info{}, fmt.Errorf("%w: %s: %w; what is no guest's may be removed", ErrDirectory, dir, err)
		}
		// The lock may also be held by who is removing the folder.
		if !s.Phase.Running() || alive && !errors.Is(unix.Kill(s.PID, 0), unix.ESRCH) {
			s.Name = name
			return Info{State: s, Dir: dir}, nil
		}
	}
	s.Name, s.Phase = name, Died
	return Info{State: s, Dir: dir}, nil
}

// Find gives the guest name, running or not.
func (r *Root) Find(name string) (Info, error) {
	if err := CheckName(name); err != nil {
		return Info{}, err
	}
	info, err := r.read(name)
	if err == nil {
		return info, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return Info{}, err
	}
	guests, err := r.List()
	if err != nil {
		return Info{}, err
	}
	known := "there is none in " + r.path
	if len(guests) > 0 {
		known = "there is " + Names(guests)
	}
	return Info{}, fmt.Errorf("%w: %s; %s", ErrUnknown, name, known)
}

// Select gives the running guest that a client means: the one called name, or
// without a name the only one.
func (r *Root) Select(name string) (Info, error) {
	if name != "" {
		info, err := r.Find(name)
		if err == nil && !info.Phase.Running() {
			err = fmt.Errorf("%w: %s %s; `nx logs %s` shows what it said", ErrEnded, name, info.Phase, name)
		}
		return info, err
	}
	guests, err := r.Running()
	switch {
	case err != nil:
		return Info{}, err
	case len(guests) == 0:
		return Info{}, fmt.Errorf("%w: start one with nx boot --stay", ErrNoGuest)
	case len(guests) > 1:
		return Info{}, fmt.Errorf("%w (%s): say which with --guest NAME", ErrSeveral, Names(guests))
	}
	return guests[0], nil
}

// Select gives the running guest that a client means, in the run directory that
// the environment names.
func Select(name string) (Info, error) {
	r, err := Open(Default())
	if err != nil {
		return Info{}, err
	}
	return r.Select(name)
}

// Names lists the guests' names.
func Names(guests []Info) string {
	var all []string
	for _, g := range guests {
		all = append(all, g.Name)
	}
	return strings.Join(all, ", ")
}
