package sockserver

import (
	"os"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"

	"nexus/source/libs/sockns"
)

// slow is a stack's endpoint whose close takes as long as the test wants.
type slow struct {
	tcpip.Endpoint
	closed chan struct{}
}

func (e slow) Close() { <-e.closed }

// A record that tells of a close is done when the address is free, also when the server has seen the end of the data pair
// before and is in the middle of closing the socket.
func TestCloseUnderWay(t *testing.T) {
	for _, test := range []struct {
		name     string
		datagram bool
		phase    phase
	}{{"bound stream", false, idle}, {"listener", false, listening}, {"datagram", true, idle}} {
		t.Run(test.name, func(t *testing.T) {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(pair[1])
			file, raw, err := pollable(pair[0], "socket")
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				closeUnderWay(t, file, &socket{datagram: test.datagram, phase: test.phase, raw: raw})
			})
		})
	}
}

func closeUnderWay(t *testing.T, file *os.File, one *socket) {
	endpoint := slow{closed: make(chan struct{})}
	server := &Server{sockets: map[uint32]*socket{1: one}, open: 1}
	one.server, one.id, one.data, one.endpoint, one.queue = server, 1, file, endpoint, new(waiter.Queue)
	one.gone, one.late = make(chan struct{}), make(chan struct{})

	go one.close(false)
	synctest.Wait()
	handled := false
	go func() {
		server.handle(&sockns.Record{Op: sockns.Close, ID: 1}, -1)
		handled = true
	}()
	synctest.Wait()
	if handled {
		t.Error("the record is done, and the stack still has the address")
	}
	close(endpoint.closed)
	synctest.Wait()
	if !handled {
		t.Error("the record waits on for a socket that is gone")
	}
	if server.find(1) != nil || server.open != 0 {
		t.Errorf("the socket is left: %v, %d open", server.find(1), server.open)
	}
}
