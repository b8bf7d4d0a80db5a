package qtest

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"
)

// Host is programs of the host that connect to the console device's port, one after the other.
type Host struct {
	path string
	conn *net.UnixConn
}

// Chardev makes a Host in dir and the -chardev value for it, of id c0. QEMU listens.
func Chardev(dir string) (*Host, string) {
	path := filepath.Join(dir, "port")
	return &Host{path: path}, fmt.Sprintf("socket,id=c0,path=%s,server=on,wait=off", path)
}

// Connect opens the port.
func (h *Host) Connect() error {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: h.path, Net: "unix"})
	if err != nil {
		return err
	}
	h.conn = conn
	return conn.SetDeadline(time.Now().Add(answerTime))
}

// Disconnect closes the port.
func (h *Host) Disconnect() error {
	if h.conn == nil {
		return nil
	}
	conn := h.conn
	h.conn = nil
	return conn.Close()
}

// Send sends all of p.
func (h *Host) Send(p []byte) error {
	_, err := h.conn.Write(p)
	return err
}

// Receive gives the next n bytes, waits at most answerTime.
func (h *Host) Receive(n int) ([]byte, error) {
	p := make([]byte, n)
	n, err := io.ReadFull(h.conn, p)
	return p[:n], err
}
