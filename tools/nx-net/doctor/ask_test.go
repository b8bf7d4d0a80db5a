package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"capnproto.org/go/capnp/v3"

	"nexus/source/api/netapi"
	"nexus/source/api/netcapnp"
	"nexus/source/libs/channel"
)

// guest is a guest whose services answer in this process, netstackd as told, virtionetd with one counter.
type guest struct {
	t       *testing.T
	gateway bool // the gateway answers ping
	dead    string
}

func (g guest) Open(service string) (*channel.Conn, error) {
	if service == g.dead {
		return nil, errors.New(service + " has ended")
	}
	client, server, err := channel.Pair()
	if err != nil {
		return nil, err
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = channel.Serve(server, handler{g, service})
	}()
	g.t.Cleanup(func() { <-served })
	return client, nil
}

type handler struct {
	guest
	service string
}

func (h handler) Refuse(reply *capnp.Segment, err error) { netapi.Refuse(reply, err) }

func (h handler) Handle(call *channel.Call) error {
	reply, err := netcapnp.NewRootReply(call.Reply)
	if err != nil {
		return err
	}
	switch netcapnp.Request(call.Request).Which() {
	case netcapnp.Request_Which_ifList:
		list, err := reply.NewIfList(2)
		if err != nil {
			return err
		}
		for i, one := range healthy().Live.Interfaces {
			if err := netapi.SetInterface(list.At(i), one); err != nil {
				return err
			}
		}
		return nil
	case netcapnp.Request_Which_ping:
		to, _ := netcapnp.Request(call.Request).Ping().Address()
		if !h.gateway || !bytes.Equal(to, hostIP.AsSlice()) {
			return netapi.Refused(syscall.EHOSTUNREACH, "ping: no route to host")
		}
		reply.SetPing()
		reply.Ping().SetSent(2)
		_, err := reply.Ping().NewEchoes(2)
		return err
	case netcapnp.Request_Which_arp:
		list, err := reply.NewArp(1)
		if err != nil {
			return err
		}
		state := "reachable"
		if !h.gateway {
			state = "unreachable"
		}
		return errors.Join(list.At(0).SetInterface("virt0"), list.At(0).SetIp(hostIP.AsSlice()), list.At(0).SetState(state),
			list.At(0).SetMac([]byte{2, 0, 0, 0, 0, 2}))
	case netcapnp.Request_Which_stats:
		return netapi.SetStats(reply, []netapi.Counter{{Name: h.service + ".some", Value: 3}})
	}
	return netapi.Refused(syscall.ENOSYS, "not asked for")
}

func TestAsk(t *testing.T) {
	l := Ask(guest{t: t, gateway: true}, netip.Addr{})
	if l.Error != nil || len(l.Interfaces) != 2 || len(l.Neighbours) != 1 || len(l.Pings) != 1 || l.Pings[0].Got != 2 || !l.Pings[0].Gateway ||
		l.Counters["netstackd.some"] != 3 || l.Counters["virtionetd.some"] != 3 {
		t.Errorf("%+v", l)
	}
}

func TestAskUnreachable(t *testing.T) {
	target := netip.MustParseAddr("192.0.2.7")
	l := Ask(guest{t: t}, target)
	if l.Error != nil || len(l.Pings) != 2 || l.Pings[1].To != target || !errors.Is(l.Pings[0].Error, syscall.EHOSTUNREACH) {
		t.Errorf("%+v", l)
	}
}

func TestAskDead(t *testing.T) {
	for _, service := range []string{"netstackd", "virtionetd"} {
		if l := Ask(guest{t: t, gateway: true, dead: service}, netip.Addr{}); l.Error == nil || !strings.Contains(l.Error.Error(), service) {
			t.Errorf("%s: %+v", service, l)
		}
	}
}

// run runs the command and gives its output.
func run(t *testing.T, asJSON bool, facts Facts, services Services, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := New(Config{
		Collect: func(context.Context) (Facts, Services, error) { return facts, services, nil },
		JSON:    func() bool { return asJSON },
		Out:     &out,
	})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestCommand(t *testing.T) {
	facts := healthy()
	facts.Live = nil
	out, err := run(t, false, facts, guest{t: t, gateway: true})
	if err != nil || !strings.HasSuffix(out, "nx: net doctor: no fault found\n") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = run(t, false, facts, guest{t: t})
	if !errors.Is(err, ErrFaulty) || !strings.Contains(out, "fault    arp-unresolved: ") || !strings.HasSuffix(out, "1 fault found\n") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, bad := range []string{"fe80::1", "10.0.2", "gateway"} {
		if _, err := run(t, false, facts, nil, bad); err == nil || !strings.Contains(err.Error(), "is not an IPv4 address") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestCommandJSON(t *testing.T) {
	facts := healthy()
	facts.Live = nil
	out, err := run(t, true, facts, guest{t: t})
	var a answer
	if e := json.Unmarshal([]byte(out), &a); e != nil || !errors.Is(err, ErrFaulty) || !a.Faulty || a.Guest != "g1" || !a.Running {
		t.Errorf("%v %v %+v\n%s", err, e, a, out)
	}
}
