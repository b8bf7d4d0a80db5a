package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"nexus/source/libs/channel"
)

// maxPath is the longest path of a socket: sun_path of unix(7) less its NUL.
const maxPath = 107

// Errors of Listen and Open, each with what to do.
var (
	ErrPathTooLong = errors.New("the path of a socket has at most 107 bytes: set NEXUS_RUN to a shorter run directory")
	ErrInUse       = errors.New("another runner serves this guest: choose another --name")
)

// Pair makes a control port: the file to give to QEMU, to be closed once QEMU was started, and the mux's end.
func Pair() (guest *os.File, port Port, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("control port: socketpair: %w", err)
	}
	guest = os.NewFile(uintptr(fds[0]), "control-guest")
	host := os.NewFile(uintptr(fds[1]), "control-host")
	defer host.Close()
	port, err = net.FileConn(host)
	if err != nil {
		guest.Close()
		return nil, nil, fmt.Errorf("control port: %w", err)
	}
	return guest, port, nil
}

const network = "unixpacket" // SOCK_SEQPACKET

func checkPath(path string) error {
	if len(path) > maxPath {
		return fmt.Errorf("control socket %s: %w", path, ErrPathTooLong)
	}
	return nil
}

// listen makes the socket at path, for this user alone, in the place of one that nobody listens to.
func listen(path string) (*net.UnixListener, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: private}
	l, err := config.Listen(context.Background(), network, path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l.(*net.UnixListener), nil
}

// private gives a socket that is not bound yet the mode of the file that it becomes: there is no moment in which others
// can connect.
func private(_, _ string, c syscall.RawConn) error {
	var err error
	if failed := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0o600) }); failed != nil {
		return failed
	}
	return err
}

// removeStale removes the socket of a runner that is dead. Anything but a socket is left to be an error.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("control socket %s: there is a file of another kind: remove it", path)
	}
	conn, err := net.Dial(network, path)
	if err == nil {
		conn.Close()
		return fmt.Errorf("control socket %s: %w", path, ErrInUse)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("control socket: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// channelOf makes a channel of a connection, which it takes over.
func channelOf(conn *net.UnixConn) (*channel.Conn, error) {
	defer conn.Close()
	f, err := conn.File()
	if err != nil {
		return nil, err
	}
	return channel.Open(f)
}
