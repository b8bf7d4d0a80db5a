package nic_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"capnproto.org/go/capnp/v3"

	"nexus/source/api/netapi"
	"nexus/source/api/netcapnp"
	"nexus/source/libs/channel"
	"nexus/source/services/netstackd/guard"
	"nexus/source/services/netstackd/link"
	"nexus/source/services/netstackd/nic"
	"nexus/source/services/netstackd/wiretest"
)

const patience = 20 * time.Second

var mac = [6]byte{2, 0, 0, 0, 0, 1}

// driver is a virtionetd that misbehaves as told.
type driver struct {
	*wiretest.Port
	mu     sync.Mutex
	refuse int                      // attachments to refuse first
	twist  func(*netapi.Attachment) // changes what attach says
	fewer  bool                     // sends one descriptor less
}

func (d *driver) Handle(call *channel.Call) error {
	d.mu.Lock()
	refuse, twist := d.refuse > 0, d.twist
	attach := netcapnp.Request(call.Request).Which() == netcapnp.Request_Which_attach
	if attach && refuse {
		d.refuse--
		d.mu.Unlock()
		return netapi.Refused(syscall.EBUSY, "not yet")
	}
	d.mu.Unlock()
	err := d.Port.Handle(call)
	if err != nil || !attach {
		return err
	}
	if d.fewer {
		call.Beside = call.Beside[:3]
	}
	if twist == nil {
		return nil
	}
	a := netapi.Attachment{SlotSize: 2048, Slots: 512, FramesSize: 2048 * 512, QueueSize: 1 << 14, Interface: netapi.Interface{MAC: mac}}
	twist(&a)
	reply, err := netcapnp.ReadRootReply(call.Reply.Message())
	if err != nil {
		return err
	}
	return netapi.SetAttachment(reply, a)
}

func (d *driver) Refuse(s *capnp.Segment, err error) { netapi.Refuse(s, err) }

// serve returns a client of d; hangUp ends d's end of the channel.
func serve(t *testing.T, d *driver) (client *netapi.Client, hangUp func()) {
	t.Helper()
	near, far, err := channel.Pair()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- channel.Serve(far, d) }()
	client = netapi.NewClient(near)
	t.Cleanup(func() {
		client.Close()
		far.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		d.Close()
	})
	return client, func() { far.Close() }
}

func newDriver(t *testing.T) *driver {
	t.Helper()
	port, err := wiretest.NewPort(mac, 64, func([]byte) {})
	if err != nil {
		t.Fatal(err)
	}
	return &driver{Port: port}
}

func newEndpoint() *link.Endpoint {
	return link.New(link.Config{
		MAC: mac, MTU: 1500, Guard: guard.New(mac, nil), Now: func() time.Duration { return 0 }, OnDHCP: func([]byte) {},
	})
}

func TestOpenRefusesOtherShapes(t *testing.T) {
	for name, twist := range map[string]func(*netapi.Attachment){
		"slot size":   func(a *netapi.Attachment) { a.SlotSize = 4096 },
		"slots":       func(a *netapi.Attachment) { a.Slots = 1024 },
		"frames size": func(a *netapi.Attachment) { a.FramesSize = 1 << 29 },
		"queue size":  func(a *netapi.Attachment) { a.QueueSize = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			d.twist = twist
			client, _ := serve(t, d)
			before := descriptors(t)
			if _, _, err := nic.Open(client); !errors.Is(err, nic.ErrShape) {
				t.Errorf("got %v", err)
			}
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors before, %d after", before, after)
			}
		})
	}
	t.Run("descriptors", func(t *testing.T) {
		d := newDriver(t)
		d.fewer = true
		client, _ := serve(t, d)
		if _, _, err := nic.Open(client); !errors.Is(err, syscall.EBADMSG) {
			t.Errorf("got %v", err)
		}
	})
}

func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("NOT TESTED: no /proc:", err)
	}
	return len(entries)
}

func TestOpenRefused(t *testing.T) {
	d := newDriver(t)
	d.refuse = 1
	client, _ := serve(t, d)
	if _, _, err := nic.Open(client); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("got %v", err)
	}
}

// TestReattachIsPatient: a queue that can not be had at once is asked for until it can.
func TestReattachIsPatient(t *testing.T) {
	d := newDriver(t)
	client, _ := serve(t, d)
	n, info, err := nic.Open(client)
	if err != nil || info.MAC != mac || info.MTU != 1500 {
		t.Fatal(info, err)
	}
	endpoint := newEndpoint()
	n.Plug(endpoint)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx, endpoint) }()
	d.mu.Lock()
	d.refuse = 3
	d.mu.Unlock()
	n.Reattach()
	for deadline := time.After(patience); d.Attached() < 2; {
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatal("not attached again")
		}
	}
	if n.Restarts() != 1 {
		t.Errorf("%d restarts counted", n.Restarts())
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestDriverGone: when the channel has no other end any more, Run says so.
func TestDriverGone(t *testing.T) {
	d := newDriver(t)
	client, hangUp := serve(t, d)
	n, _, err := nic.Open(client)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- n.Run(context.Background(), newEndpoint()) }()
	hangUp()
	n.Reattach()
	select {
	case err := <-done:
		if !errors.Is(err, syscall.EPIPE) {
			t.Errorf("got %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Run does not end")
	}
}
