package boot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"nexus/source/api/netapi"
	"nexus/source/libs/channel"
	"nexus/source/libs/control"
)

// qemuWith writes a program that is QEMU but for what the bash in edit does to its arguments, an array args.
func qemuWith(t *testing.T, edit string) string {
	t.Helper()
	qemu, err := exec.LookPath("qemu-system-riscv64")
	if err != nil {
		t.Fatal(err)
	}
	path := file(t, "qemu", []byte("#!/bin/bash\nargs=(\"$@\")\n"+edit+"\nexec "+qemu+" \"${args[@]}\"\n"))
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// port is a guest's control port, whose other end is in the test's hands as long as it wants.
type port struct {
	path string
	last uint32 // session: none is used twice, for the guest may take two hosts for one
}

// connect opens the port.
func (p *port) connect(t *testing.T) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: p.path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(bound)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// refused reads what the guest says until it gives up the stream.
func (p *port) refused(t *testing.T, conn *net.UnixConn) {
	t.Helper()
	for in := control.NewReader(conn, control.Guest); ; {
		f, err := in.Next()
		if err != nil {
			t.Fatalf("the guest does not say that it cannot read this: %v", err)
		}
		if f.Session != 0 {
			continue // of a session before
		}
		if f.Kind != control.Refused || f.Errno != syscall.EPROTO || !strings.Contains(string(f.Body), "close the port and open it again") {
			t.Errorf("the guest says %d, errno %d: %s", f.Kind, f.Errno, f.Body)
		}
		return
	}
}

// answerBound is how long a host waits for a session until it opens the port again.
const answerBound = 2 * time.Second

// open opens the port and a session of a service, again where CAVEATS.md says that a host may have to: what hosts before
// it have said may count as its own, and what it says while the driver resets the device is lost.
func (p *port) open(t *testing.T, service string) (*net.UnixConn, *control.Writer, *control.Reader) {
	t.Helper()
	for deadline := time.Now().Add(bound); ; {
		conn := p.connect(t)
		if err := conn.SetReadDeadline(time.Now().Add(answerBound)); err != nil {
			t.Fatal(err)
		}
		out, in := control.NewWriter(conn, control.Host), control.NewReader(conn, control.Guest)
		p.last++
		if _, err := out.Write(control.Frame{Session: p.last, Kind: control.Open, Body: []byte(service)}); err != nil {
			t.Fatal(err)
		}
		f, err := in.Next()
		for err == nil && f.Session != p.last && f.Session != 0 {
			f, err = in.Next() // said to the host before
		}
		switch {
		case time.Now().After(deadline), err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			t.Fatalf("open: %+v, %v", f, err)
		case f.Kind == control.Opened:
			if err := conn.SetDeadline(deadline.Add(bound)); err != nil {
				t.Fatal(err)
			}
			return conn, out, in
		case err == nil && (f.Kind != control.Refused || f.Errno != syscall.EPROTO && f.Errno != syscall.EAGAIN):
			t.Fatalf("open: %+v: %s", f, f.Body)
		}
		conn.Close()
	}
}

// ask opens the port anew and asks a service.
func (p *port) ask(t *testing.T, service string, question func(*netapi.Client)) {
	t.Helper()
	conn, out, in := p.open(t, service)
	defer conn.Close()
	near, far, err := channel.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	client := netapi.NewClient(near)
	client.Timeout = bound
	passed := make(chan error, 1)
	go func() { passed <- pass(far, out, in, p.last) }()
	question(client)
	client.Close()
	if err := <-passed; err != nil {
		t.Error(err)
	}
}

// works pings the host through netstackd.
func (p *port) works(t *testing.T) {
	t.Helper()
	p.ask(t, "netstackd", func(client *netapi.Client) {
		sent, echoes, err := client.Ping(netip.MustParseAddr("10.0.2.2"), 2, 5*time.Second, 56)
		if err != nil || sent != 2 || len(echoes) != 2 {
			t.Errorf("ping: sent %d, got %d, %v", sent, len(echoes), err)
		}
	})
}

// pass passes requests of a channel on and their replies back until the channel ends.
func pass(far *channel.Conn, out *control.Writer, in *control.Reader, session uint32) error {
	for buf := make([]byte, channel.MaxMessage); ; {
		n, err := far.ReceiveDatagram(buf, time.Now().Add(bound))
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			_, err = out.Write(control.Frame{Session: session, Kind: control.Data, Body: buf[:n]})
		}
		if err != nil {
			return err
		}
		f, err := in.Next()
		for err == nil && f.Session != session {
			f, err = in.Next() // said to the host before
		}
		if err != nil || f.Kind != control.Data {
			return fmt.Errorf("%+v, %v", f, err)
		}
		if err := far.SendDatagram(f.Body, time.Now().Add(bound)); err != nil {
			return err
		}
	}
}

// A host that sends garbage on the port itself, or takes nothing of what is said, is told so and harms nothing: once it
// opens the port anew everything works, and no service has noticed.
func TestControlPort(t *testing.T) {
	p := &port{path: filepath.Join(os.Getenv("NEXUS_RUN"), "port.socket")}
	g := detached(t, "port", "--nic", "wire", "--qemu", qemuWith(t,
		`for i in "${!args[@]}"; do [[ ${args[i]} == socket,id=control,* ]] && args[i]=socket,id=control,path=`+p.path+`,server=on,wait=off; done`))
	const open = "NXC1\x09\x00\x00\x00\xff\x00\x00\xff\x01\x00\x00\x00netstackd"
	p.works(t)
	garbage := map[string]string{
		"text":            "GET / HTTP/1.1\r\nHost: nexus\r\n\r\n",
		"zeroes":          strings.Repeat("\x00", 64),
		"a giant length":  "NXC1\xff\xff\xff\xff\x05\x00\x00\x00\x04\x00\x00\x00",
		"an unknown kind": "NXC1\x00\x00\x00\x00\x05\x00\x00\x00\x63\x00\x00\x00",
		"no session":      "NXC1\x09\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00netstackd",
		"after a session": open + "no frame at all, but bytes",
		"very much":       open + strings.Repeat("\xff\x00NXC1 ", 40000),
	}
	for name, garbage := range garbage {
		t.Run(name, func(t *testing.T) {
			conn := p.connect(t)
			written := make(chan error, 1)
			go func() {
				_, err := io.Copy(conn, bytes.NewReader([]byte(garbage)))
				written <- err
			}()
			p.refused(t, conn)
			if err := <-written; err != nil {
				t.Errorf("the guest does not read the rest: %v", err)
			}
			conn.Close()
			p.works(t)
		})
	}
	// What a host leaves half said is no beginning for the next one.
	for _, half := range []string{"N", open[:15], open[:20], open} {
		conn := p.connect(t)
		if _, err := conn.Write([]byte(half)); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		p.works(t)
	}
	t.Run("a host that does not read", func(t *testing.T) {
		conn := p.connect(t)
		_ = conn.SetReadBuffer(4096)
		asked := []byte(open)
		for range 5000 { // each is answered with a text, or a refusal
			asked = append(asked, "NXC1\x01\x00\x00\x00\xff\x00\x00\xff\x04\x00\x00\x00x"...)
		}
		if err := conn.SetWriteDeadline(time.Now().Add(time.Second / 2)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(asked); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		conn.Close()
		p.works(t)
	})
	p.ask(t, "controld", func(client *netapi.Client) {
		counters, err := client.Stats()
		i := slices.IndexFunc(counters, func(c netapi.Counter) bool { return c.Name == "control.rx.protocol" })
		if err != nil || i < 0 || counters[i].Value < uint64(len(garbage)) {
			t.Errorf("%d pieces of garbage were counted as %v, %v", len(garbage), counters, err)
		}
	})
	if status, out := script(t, exec.Command(nx, "logs", "--raw", g.Name)); status != 0 || strings.Contains(out, "failed") || strings.Contains(out, "ended") {
		t.Errorf("status %d:\n%s", status, out)
	}
	is(t, g.Name, "standing")
}
