package pcapng

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"capnproto.org/go/capnp/v3"
	"golang.org/x/sys/unix"

	"nexus/source/api/netapi"
	"nexus/source/api/netcapnp"
	"nexus/source/libs/channel"
)

// netstackd answers as the guest's does: packets for each read, while there are any.
type netstackd struct {
	refuse  error
	packets []netapi.Packet
	asked   string // interface and snap of captureOpen
	closed  bool
}

func (n *netstackd) Handle(call *channel.Call) error {
	reply, err := netcapnp.NewRootReply(call.Reply)
	if err != nil {
		return err
	}
	request := netcapnp.Request(call.Request)
	switch request.Which() {
	case netcapnp.Request_Which_captureOpen:
		name, err := request.CaptureOpen().Interface()
		n.asked = fmt.Sprintf("%q %d", name, request.CaptureOpen().SnapLength())
		reply.SetCapture(1)
		return errors.Join(err, n.refuse)
	case netcapnp.Request_Which_captureRead:
		if len(n.packets) == 0 {
			<-time.After(time.Duration(request.CaptureRead().TimeoutMs()) * time.Millisecond)
			return syscall.ETIMEDOUT
		}
		packets := n.packets
		n.packets = nil
		return netapi.SetPackets(reply, packets, 2)
	case netcapnp.Request_Which_captureClose:
		n.closed = true
		reply.SetDone()
		return nil
	}
	return syscall.ENOSYS
}

func (n *netstackd) Refuse(reply *capnp.Segment, err error) { netapi.Refuse(reply, err) }

// run runs the command against n, or without a guest if that is nil.
func run(t *testing.T, n *netstackd, arguments ...string) (out, errs string, err error) {
	t.Helper()
	done := make(chan error, 1)
	done <- nil
	var stdout, stderr bytes.Buffer
	cmd := NewCapture(func(service string) (*channel.Conn, error) {
		if n == nil || service != "netstackd" {
			return nil, syscall.ECONNREFUSED
		}
		ours, theirs, err := channel.Pair()
		<-done
		go func() { done <- channel.Serve(theirs, n) }()
		return ours, err
	})
	cmd.SetArgs(arguments)
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.Flags().Bool("json", false, "")                                      // as nx net has it
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // of captures that should end by themselves
	defer cancel()
	err = cmd.ExecuteContext(ctx)
	if ctx.Err() != nil {
		t.Errorf("%v does not end", arguments)
	}
	if served := <-done; served != nil {
		t.Error(served)
	}
	return stdout.String(), stderr.String(), err
}

func TestCommand(t *testing.T) {
	n := &netstackd{packets: []netapi.Packet{datagram("lo", 1, true), datagram("lo", 2, true)}}
	out, errs, err := run(t, n, "-n", "2", "-i", "lo", "-s", "99")
	if err != nil || !n.closed || n.asked != `"lo" 99` {
		t.Errorf("asked for %s, closed %v, %v", n.asked, n.closed, err)
	}
	if got, _ := read(t, []byte(out)); len(got) != 2 {
		t.Errorf("%d packets on stdout", len(got))
	}
	if errs != "capturing on lo\n2 packets written, 2 dropped by the guest\n" {
		t.Errorf("stderr: %q", errs)
	}
}

func TestCommandWritesFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lo.pcapng")
	if err := os.WriteFile(path, []byte("an older capture"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*netstackd{nil, {refuse: syscall.ENODEV}} {
		_, errs, err := run(t, n, "-w", path)
		if err == nil || errs != "" || errors.Is(err, ErrGuest) != (n != nil) {
			t.Errorf("%+v: %v; stderr %q", n, err, errs)
		}
		if data, _ := os.ReadFile(path); string(data) != "an older capture" {
			t.Error("the file is lost, though nothing was captured")
		}
	}
	n := &netstackd{packets: []netapi.Packet{datagram("virt0", 1, true)}}
	if out, _, err := run(t, n, "-i", "any", "-n", "1", "-w", path); err != nil || out != "" || n.asked != `"" 0` {
		t.Errorf("asked for %s, stdout %q, %v", n.asked, out, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := read(t, data); len(got) != 1 {
		t.Errorf("%d packets in the file", len(got))
	}
}

func TestCommandJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lo.pcapng")
	n := &netstackd{packets: []netapi.Packet{datagram("lo", 1, true)}}
	out, errs, err := run(t, n, "-i", "lo", "-n", "1", "-w", path, "--json")
	if want := fmt.Sprintf("{\n \"file\": %q,\n \"packets\": 1,\n \"dropped\": 2\n}\n", path); out != want || err != nil {
		t.Errorf("%v; stdout %q, want %q; stderr %q", err, out, want, errs)
	}
}

func TestCommandRefuses(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		arguments string
		want      error
		text      string
	}{
		{"-s -1", nil, "want a whole number from 0 to 65024"},
		{"-s 65025", nil, "want a whole number from 0 to 65024"},
		{"-n 1e3", nil, "want a whole number from 0 to 1000000000"},
		{"--duration -1s", nil, "want a time from 0s to 24h"},
		{"--interface=", ErrUsage, "any"},
		{"-i a/b", ErrUsage, "no interface's name"},
		{"--write=", ErrUsage, "stdout"},
		{"-w " + pipe, nil, "start its reader first"},
		{"-w /nowhere/file", os.ErrNotExist, "create /nowhere/file"},
		{"-w /tmp", ErrUsage, "open /tmp: is a directory"},
		{"-w /dev/full", syscall.ENOSPC, "is the disk full?"},
		{"--json", ErrUsage, "where the packets go: give -w FILE"},
		{"extra", ErrUsage, "-i names the interface"},
	} {
		n := &netstackd{}
		_, _, err := run(t, n, strings.Fields(test.arguments)...)
		if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", test.arguments, err)
		}
		if (n.asked != "") != n.closed {
			t.Errorf("%s: the capture was left open", test.arguments)
		}
	}
}

// TestTerminal: a file is not for a terminal, and nothing is asked of the guest.
func TestTerminal(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	cmd := NewCapture(func(string) (*channel.Conn, error) { t.Error("dialled"); return nil, syscall.ECONNREFUSED })
	cmd.SetArgs([]string{})
	cmd.SetOut(terminal)
	cmd.SetErr(&bytes.Buffer{})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if err := cmd.Execute(); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "-w FILE") {
		t.Error(err)
	}
}
