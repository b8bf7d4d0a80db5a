// Package udpecho answers each datagram with itself (RFC 862).
package udpecho

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// Port is the echo port (RFC 862).
const Port = 7

// maxDatagram is the largest UDP payload over IPv4, in bytes.
const maxDatagram = 65507

// writeBound is how long one answer may wait for room; then it is dropped.
const writeBound = time.Second

// Counters are what happened, by reason.
type Counters struct {
	Echoed  atomic.Uint64
	Looped  atomic.Uint64 // dropped: came from an echo port, its answer would be answered
	Unsent  atomic.Uint64 // dropped: the answer could not be sent
	Unread  atomic.Uint64 // receive errors, such as an ICMP error for an earlier answer
	Foreign atomic.Uint64 // dropped: no address to answer to
}

// Conn is a UDP socket, as *net.UDPConn is.
type Conn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	SetWriteDeadline(t time.Time) error
}

// Serve echoes until conn is closed, which is no error, or cannot be read any
// more. One datagram is in hand at a time: a flood meets the socket's bounded
// queue, not this program's memory.
func Serve(conn Conn, counters *Counters) error {
	if err := conn.SetWriteDeadline(time.Now().Add(writeBound)); err != nil {
		return err
	}
	buf := make([]byte, maxDatagram)
	failures := 0
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			counters.Unread.Add(1)
			if failures++; failures > maxFailures {
				return err
			}
			continue
		}
		failures = 0
		answer(conn, buf[:n], from, counters)
	}
}

// maxFailures is how many receive errors in a row end the service: an ICMP error
// is told once, a broken network for ever.
const maxFailures = 16

// answer sends the datagram back, or drops it and counts why.
func answer(conn Conn, datagram []byte, from netip.AddrPort, counters *Counters) {
	switch {
	case !from.IsValid() || from.Port() == 0:
		counters.Foreign.Add(1)
		return
	case from.Port() == Port:
		counters.Looped.Add(1)
		return
	}
	// A write waits only when the socket is full. The deadline that bounds it is
	// renewed once it has passed, not for every datagram.
	_, err := conn.WriteToUDPAddrPort(datagram, from)
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		if err = conn.SetWriteDeadline(time.Now().Add(writeBound)); err == nil {
			_, err = conn.WriteToUDPAddrPort(datagram, from)
		}
	}
	if err != nil {
		counters.Unsent.Add(1)
		return
	}
	counters.Echoed.Add(1)
}
