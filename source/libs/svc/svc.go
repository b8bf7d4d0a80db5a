// Package svc is how a service starts: it finds the descriptors nexus-init
// handed it, says that it is ready, prints its markers and ends with the exit
// status nexus-init understands.
//
// The contract is sd_listen_fds(3) and sd_notify(3) without their optional
// parts; docs/architecture/07-contracts-map.md, "Service start-up", is its text.
// The package imports neither net nor fmt: every service pays for it at start-up.
package svc

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// FirstDescriptor is the number of the first inherited descriptor,
// SD_LISTEN_FDS_START of sd_listen_fds(3).
const FirstDescriptor = 3

// MaxDescriptors bounds LISTEN_FDS. nexus-init hands out far fewer.
const MaxDescriptors = 64

// NotifyName is the descriptor that takes sd_notify text.
const NotifyName = "notify"

// Exit statuses, as nexus-init reads them.
const (
	ExitDone      = 0   // finished, nothing to do again
	ExitRestart   = 1   // failed, starting again may help
	ExitNoRestart = 125 // failed, starting again cannot help
)

// What can be wrong with the environment a service was started in.
var (
	ErrEnvironment  = errors.New("bad LISTEN_FDS or LISTEN_FDNAMES: start this program from nexus-init")
	ErrNoDescriptor = errors.New("no such descriptor: give it to the service in the manifest")
	ErrNotOpen      = errors.New("descriptor is not open")
)

// Service is what a service was started with. A Service is not safe for
// concurrent use, except Ready and Status; the files it gives are those of
// package os.
type Service struct {
	names []string
	files []*os.File
}

// Named is one descriptor with the name nexus-init gave it.
type Named struct {
	Name string
	File *os.File
}

// Open reads LISTEN_FDS and LISTEN_FDNAMES, checks that every descriptor is
// open, marks it close-on-exec and removes both variables from the environment,
// so that no child believes it was given them. A program started without
// LISTEN_FDS gets a Service without descriptors.
func Open() (*Service, error) {
	count, names := os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	os.Unsetenv("LISTEN_FDS")
	os.Unsetenv("LISTEN_FDNAMES")
	list, err := parse(count, names)
	if err != nil {
		return nil, err
	}
	return wrap(list, FirstDescriptor)
}

// parse returns the names of the inherited descriptors in order.
func parse(count, names string) ([]string, error) {
	if count == "" && names == "" {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > MaxDescriptors {
		return nil, fault("LISTEN_FDS="+strconv.Quote(count), ErrEnvironment)
	}
	if n == 0 && names == "" {
		return nil, nil
	}
	list := strings.Split(names, ":")
	if len(list) != n {
		return nil, fault("LISTEN_FDS="+count+" but "+strconv.Itoa(len(list))+" names", ErrEnvironment)
	}
	seen := make(map[string]bool, n)
	for _, name := range list {
		if !ValidName(name) {
			return nil, fault("descriptor name "+strconv.Quote(name), ErrEnvironment)
		}
		if seen[name] {
			return nil, fault("two descriptors named "+name, ErrEnvironment)
		}
		seen[name] = true
	}
	return list, nil
}

// wrap makes files of the descriptors first, first+1, ... named by names.
func wrap(names []string, first int) (*Service, error) {
	for i, name := range names {
		if _, err := unix.FcntlInt(uintptr(first+i), syscall.F_SETFD, syscall.FD_CLOEXEC); err != nil {
			return nil, fault("descriptor "+strconv.Itoa(first+i)+" ("+name+")", ErrNotOpen)
		}
	}
	s := &Service{names: names, files: make([]*os.File, len(names))}
	for i, name := range names {
		s.files[i] = os.NewFile(uintptr(first+i), name)
	}
	return s, nil
}

// ValidName reports whether name may name a descriptor: [a-z0-9.-]+ that
// neither begins nor ends with a dot.
func ValidName(name string) bool {
	if name == "" || name[0] == '.' || name[len(name)-1] == '.' {
		return false
	}
	for i := range len(name) {
		c := name[i]
		ok := 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-'
		if !ok {
			return false
		}
	}
	return true
}

// IsKind reports whether name is kind itself or one of several of that kind,
// as net.nx is of net.
func IsKind(name, kind string) bool {
	rest, ok := strings.CutPrefix(name, kind)
	return ok && (rest == "" || rest[0] == '.')
}

// Descriptor returns the descriptor of exactly that name, or ErrNoDescriptor.
// Every call for one name returns the same file.
func (s *Service) Descriptor(name string) (*os.File, error) {
	for i, n := range s.names {
		if n == name {
			return s.files[i], nil
		}
	}
	return nil, fault("descriptor "+name, ErrNoDescriptor)
}

// Descriptors returns the descriptors named kind or kind.SOMETHING, in the
// order of the manifest. None is not an error.
func (s *Service) Descriptors(kind string) []Named {
	var list []Named
	for i, n := range s.names {
		if IsKind(n, kind) {
			list = append(list, Named{Name: n, File: s.files[i]})
		}
	}
	return list
}

// All returns every descriptor, in the order of the manifest.
func (s *Service) All() []Named {
	list := make([]Named, len(s.names))
	for i, n := range s.names {
		list[i] = Named{Name: n, File: s.files[i]}
	}
	return list
}

// Ready tells nexus-init that the service does what it is for. A program that
// was given no notify descriptor was started by hand: nobody waits, no error.
func (s *Service) Ready() error { return s.notify("READY=1\n") }

// Status tells nexus-init what the service is doing, for a person to read. A
// text of several lines is sent as one.
func (s *Service) Status(text string) error { return s.notify("STATUS=" + Printable(text) + "\n") }

// Refused tells nexus-init that count rights which this program was not given
// were refused to it. Only a program that checks this says so.
func (s *Service) Refused(count int) error {
	return s.notify("X_REFUSED=" + strconv.Itoa(count) + "\n")
}

// Stop asks nexus-init to end the system as if its work were done. It is heard
// once the boot is proven and the system stays up.
func (s *Service) Stop() error { return s.notify("X_STOP=1\n") }

func (s *Service) notify(text string) error {
	f, err := s.Descriptor(NotifyName)
	if err != nil {
		return nil
	}
	_, err = f.WriteString(text)
	return err
}

// Seed returns NEXUS_SEED, which is there in the deterministic profile only.
func Seed() (seed uint64, deterministic bool) {
	seed, err := strconv.ParseUint(os.Getenv("NEXUS_SEED"), 10, 64)
	return seed, err == nil
}

// fault names what was wrong in front of the sentinel that says of which kind.
func fault(what string, kind error) error { return &faultError{what: what, kind: kind} }

type faultError struct {
	what string
	kind error
}

func (e *faultError) Error() string { return e.what + ": " + e.kind.Error() }
func (e *faultError) Unwrap() error { return e.kind }
