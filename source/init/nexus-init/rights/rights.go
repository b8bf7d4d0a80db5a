// Package rights turns what the manifest grants into open descriptors, each
// opened for the one service that gets it, and proves each grant while it has
// it in hand: the window is the node's, the interrupt has one owner, the DMA
// memory is as large as asked and has a physical address.
package rights

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"nexus/source/init/nexus-init/devices"
	"nexus/source/init/nexus-init/manifest"
)

// What can be wrong with a grant.
var (
	ErrNoDevice = errors.New("no device")
	ErrUnproven = errors.New("right is not what the manifest says")
)

// Set holds the descriptors that were opened and not handed out yet.
type Set struct {
	directory  devices.Directory
	channels   map[string]*pair
	namespaces map[string]int
	proven     int
}

// pair is a channel: its two ends, the server's -1 when handed out.
type pair struct{ server, client int }

// Prepare opens the channels and socket namespaces of the manifest, which
// belong to several services. Close must be called.
func Prepare(directory devices.Directory, m *manifest.Manifest) (*Set, error) {
	s := &Set{directory: directory, channels: make(map[string]*pair), namespaces: make(map[string]int)}
	for _, service := range m.Services {
		for _, d := range service.Descriptors {
			if err := s.prepare(d); err != nil {
				s.Close()
				return nil, fmt.Errorf("%s: descriptor %s: %w", service.Name, d.Name, err)
			}
		}
	}
	return s, nil
}

// prepare opens what d is a part of. Each channel and namespace is served once
// only, the manifest saw to that.
func (s *Set) prepare(d manifest.Descriptor) error {
	switch d.Kind {
	case manifest.Serve:
		ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("socketpair", err)
		}
		s.channels[d.Object] = &pair{server: ends[0], client: ends[1]}
	case manifest.Sockets:
		fd, err := s.directory.Open(devices.NameNamespace)
		if err != nil {
			return os.NewSyscallError("open "+devices.NameNamespace, err)
		}
		s.namespaces[d.Object] = fd
	}
	return nil
}

// Namespace returns the descriptor of a socket namespace; it stays the Set's.
func (s *Set) Namespace(name string) int { return s.namespaces[name] }

// Proven returns how many rights were shown to work, and refusals to hold.
func (s *Set) Proven() int { return s.proven }

// Close closes everything that was not handed out.
func (s *Set) Close() {
	for _, p := range s.channels {
		closeOnce(&p.server)
		closeOnce(&p.client)
	}
	for _, fd := range s.namespaces {
		unix.Close(fd)
	}
	clear(s.namespaces)
}

func closeOnce(fd *int) {
	if *fd >= 0 {
		unix.Close(*fd)
		*fd = -1
	}
}

// Grant opens and proves every right of a service and returns the descriptors
// in the manifest's order; they are the caller's to close.
func (s *Set) Grant(service *manifest.Service) ([]int, error) {
	var granted []int
	for _, d := range service.Descriptors {
		fd, err := s.grant(d)
		if err != nil {
			CloseAll(granted)
			return nil, fmt.Errorf("descriptor %s: %w", d.Name, err)
		}
		granted = append(granted, fd)
		s.proven++
	}
	return granted, nil
}

// CloseAll closes descriptors that Grant gave.
func CloseAll(descriptors []int) {
	for _, fd := range descriptors {
		unix.Close(fd)
	}
}

func (s *Set) grant(d manifest.Descriptor) (int, error) {
	switch d.Kind {
	case manifest.Window:
		return s.device(d.Object, devices.Window(d.Object), s.proveWindow)
	case manifest.IRQ:
		return s.device(d.Object, devices.IRQ(d.Object), s.proveIRQ)
	case manifest.DMA:
		return s.dma(d.Size)
	case manifest.Sockets:
		return s.sockets(d.Object)
	case manifest.Serve:
		return take(&s.channels[d.Object].server), nil
	default: // manifest.Connect; the manifest has no other kind
		return s.connect(d.Object)
	}
}

// connect copies the client's end of a channel. The Set keeps its own, so that a server does not lose its channel when a
// client that runs once has ended.
func (s *Set) connect(channel string) (int, error) {
	fd, err := unix.FcntlInt(uintptr(s.channels[channel].client), unix.F_DUPFD_CLOEXEC, 3)
	return fd, os.NewSyscallError("fcntl", err)
}

func take(fd *int) int {
	taken := *fd
	*fd = -1
	return taken
}

// device opens and proves a part of a device-tree node.
func (s *Set) device(node, name string, prove func(node string, fd int) error) (int, error) {
	fd, err := s.directory.Open(name)
	switch {
	case errors.Is(err, unix.ENOENT):
		return -1, fmt.Errorf("%w %s in the device tree: boot with a device tree that has the node "+
			"with status = \"okay\" (pkg/dts/virt-nexus.dts), or name another node in the manifest", ErrNoDevice, node)
	case errors.Is(err, unix.EBUSY):
		return -1, fmt.Errorf("%s is held by somebody else: %w", name, err)
	case err != nil:
		return -1, os.NewSyscallError("open "+name, err)
	}
	if err := prove(node, fd); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// proveWindow checks that the window lies where the node's unit address says.
func (s *Set) proveWindow(node string, fd int) error {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if stat.Size <= 0 {
		return fmt.Errorf("%w: window of %s has %d bytes", ErrUnproven, node, stat.Size)
	}
	_, unit, _ := strings.Cut(node, "@")
	base, err := strconv.ParseUint(unit, 16, 64)
	if err == nil && base != stat.Ino {
		return fmt.Errorf("%w: window of %s is at %#x", ErrUnproven, node, stat.Ino)
	}
	return nil
}

// proveIRQ checks that there is an interrupt and that nobody can open it again:
// whoever holds it is the one owner of the device.
func (s *Set) proveIRQ(node string, fd int) error {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if stat.Ino == 0 {
		return fmt.Errorf("%w: %s has no interrupt", ErrUnproven, node)
	}
	second, err := s.directory.Open(devices.IRQ(node))
	return s.refused("a second owner of the interrupt of "+node, second, err)
}

// sockets opens the serving end of a namespace, which can have one holder only.
func (s *Set) sockets(name string) (int, error) {
	fd, err := s.directory.Serve(s.namespaces[name])
	if err != nil {
		return -1, os.NewSyscallError("open serving end", err)
	}
	second, err := s.directory.Serve(s.namespaces[name])
	if err := s.refused("a second server of namespace "+name, second, err); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// refused counts an open that was refused as held by somebody else, and reports
// one that was not.
func (s *Set) refused(what string, fd int, err error) error {
	if err == nil {
		unix.Close(fd)
		return fmt.Errorf("%w: %s was not refused", ErrUnproven, what)
	}
	if !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("%s: want %q, got %w", what, unix.EBUSY, err)
	}
	s.proven++
	return nil
}

// dma opens size bytes of DMA memory and checks that they are there.
func (s *Set) dma(size int64) (int, error) {
	fd, err := s.directory.Open(devices.NameDMA)
	if err != nil {
		return -1, os.NewSyscallError("open "+devices.NameDMA, err)
	}
	if err := sizeDMA(fd, size); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func sizeDMA(fd int, size int64) error {
	if err := unix.Ftruncate(fd, size); err != nil {
		return fmt.Errorf("%d bytes of DMA memory: %w", size, err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if stat.Size != size {
		return fmt.Errorf("%w: asked for %d bytes of DMA memory, got %d", ErrUnproven, size, stat.Size)
	}
	var physical [8]byte
	if n, err := unix.Pread(fd, physical[:], 0); err != nil || n != len(physical) {
		return fmt.Errorf("%w: no physical address of the DMA memory: %d bytes, %v", ErrUnproven, n, err)
	}
	address := binary.LittleEndian.Uint64(physical[:])
	if address == 0 || address%uint64(manifest.PageSize) != 0 {
		return fmt.Errorf("%w: DMA memory at %#x", ErrUnproven, address)
	}
	return nil
}
