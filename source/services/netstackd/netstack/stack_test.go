package netstack_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"nexus/source/api/netapi"
	"nexus/source/api/netcapnp"
	"nexus/source/services/netstackd/netstack"
)

const patience = 10 * time.Second

// lo is the address that lo always gets.
var lo = netapi.Address{Prefix: netip.MustParsePrefix("127.0.0.1/8"), Origin: netcapnp.Origin_loopback}

func newStack(t testing.TB) *netstack.Stack {
	t.Helper()
	seed := uint64(1)
	s, err := netstack.New(netstack.Config{Seed: &seed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestLoopbackPing(t *testing.T) {
	s := newStack(t)
	if _, _, err := s.Ping(context.Background(), lo.Prefix.Addr(), 1, patience, 8); err == nil {
		t.Error("ping of a down lo succeeded")
	}
	if err := s.SetAddress(netstack.Loopback, lo); err != nil {
		t.Fatal(err)
	}
	if err := s.SetUp(netstack.Loopback, true); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"127.0.0.1", "127.1.2.3"} {
		sent, echoes, err := s.Ping(context.Background(), netip.MustParseAddr(to), 3, patience, netstack.MaxPingPayload)
		if err != nil || sent != 3 || len(echoes) != 3 {
			t.Fatalf("%s: sent %d, got %d, %v", to, sent, len(echoes), err)
		}
		for i, e := range echoes {
			if e.Sequence != i || e.Size != netstack.MaxPingPayload || e.TTL != 64 || e.RoundTrip <= 0 {
				t.Errorf("%s: echo %d: %+v", to, i, e)
			}
		}
	}
	if err := s.SetUp(netstack.Loopback, false); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Ping(context.Background(), lo.Prefix.Addr(), 1, patience, 8); err == nil {
		t.Error("ping of a down lo succeeded")
	}
}

func TestPingBadAddress(t *testing.T) {
	s := newStack(t)
	for _, to := range []string{"0.0.0.0", "224.0.0.1", "255.255.255.255", "::1"} {
		if _, _, err := s.Ping(context.Background(), netip.MustParseAddr(to), 1, patience, 8); !errors.Is(err, netstack.ErrBadAddress) {
			t.Errorf("%s: %v", to, err)
		}
	}
}

func TestSetAddressRefuses(t *testing.T) {
	s := newStack(t)
	for _, prefix := range []string{"10.0.2.15/24", "0.0.0.0/8", "224.0.0.1/8", "127.0.0.1/0", "::1/128", "127.255.255.255/8"} {
		if err := s.SetAddress(netstack.Loopback, netapi.Address{Prefix: netip.MustParsePrefix(prefix)}); !errors.Is(err, netstack.ErrBadAddress) {
			t.Errorf("%s: %v", prefix, err)
		}
	}
	if err := s.SetAddress("eth0", lo); !errors.Is(err, netstack.ErrNoInterface) {
		t.Errorf("eth0: %v", err)
	}
	if err := s.SetUp("eth0", true); !errors.Is(err, netstack.ErrNoInterface) {
		t.Errorf("eth0: %v", err)
	}
}
