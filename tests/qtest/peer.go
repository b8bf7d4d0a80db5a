package qtest

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"
)

// Peer is the other end of the network device's cable.
type Peer interface {
	Send(frame []byte) error
	Receive() ([]byte, error) // waits at most answerTime
	Close() error
}

const maxFrame = 64 << 10

// dgramPeer speaks `-netdev dgram`: one frame a datagram.
type dgramPeer struct {
	conn *net.UnixConn
	qemu *net.UnixAddr
	buf  [maxFrame]byte
}

// Dgram makes a peer in dir and the -netdev value for it. It needs QEMU 7.2.
func Dgram(dir string) (Peer, string, error) {
	here := &net.UnixAddr{Name: filepath.Join(dir, "peer"), Net: "unixgram"}
	qemu := &net.UnixAddr{Name: filepath.Join(dir, "nic"), Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", here)
	if err != nil {
		return nil, "", err
	}
	netdev := fmt.Sprintf("dgram,id=n0,local.type=unix,local.path=%s,remote.type=unix,remote.path=%s", qemu.Name, here.Name)
	return &dgramPeer{conn: conn, qemu: qemu}, netdev, nil
}

func (p *dgramPeer) Send(frame []byte) error {
	_, err := p.conn.WriteToUnix(frame, p.qemu)
	return err
}

func (p *dgramPeer) Receive() ([]byte, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, err
	}
	n, err := p.conn.Read(p.buf[:])
	return append([]byte(nil), p.buf[:n]...), err
}

func (p *dgramPeer) Close() error { return p.conn.Close() }

// streamPeer speaks `-netdev stream`: a big-endian u32 length before each frame.
type streamPeer struct {
	listener *net.UnixListener
	conn     net.Conn
}

// Stream makes a peer in dir and the -netdev value for it. It needs QEMU 7.2.
// QEMU connects while it starts.
func Stream(dir string) (Peer, string, error) {
	path := filepath.Join(dir, "peer")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, "", err
	}
	if err := l.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, "", err
	}
	return &streamPeer{listener: l}, "stream,id=n0,server=off,addr.type=unix,addr.path=" + path, nil
}

func (p *streamPeer) connect() (err error) {
	if p.conn == nil {
		p.conn, err = p.listener.Accept()
	}
	return err
}

func (p *streamPeer) Send(frame []byte) error {
	if err := p.connect(); err != nil {
		return err
	}
	_, err := p.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
	return err
}

func (p *streamPeer) Receive() ([]byte, error) {
	if err := p.connect(); err != nil {
		return nil, err
	}
	if err := p.conn.SetReadDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, err
	}
	var length [4]byte
	if _, err := io.ReadFull(p.conn, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > maxFrame {
		return nil, fmt.Errorf("peer: frame of %d bytes", n)
	}
	frame := make([]byte, n)
	_, err := io.ReadFull(p.conn, frame)
	return frame, err
}

func (p *streamPeer) Close() error {
	if p.conn != nil {
		p.conn.Close()
	}
	return p.listener.Close()
}
