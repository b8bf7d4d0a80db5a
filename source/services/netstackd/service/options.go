package service

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"time"

	"nexus/source/libs/svc"
	"nexus/source/services/netstackd/dhcp"
)

// Mode says where virt0's address comes from.
type Mode string

// Modes.
const (
	Stub   Mode = "stub"   // DHCP with the built-in server, on no wire
	Static Mode = "static" // given by the operator
	DHCP   Mode = "dhcp"   // DHCP on the wire
)

// Options are what the operator chooses.
type Options struct {
	Mode    Mode
	Address netip.Prefix  // of Static
	Gateway netip.Addr    // of Static; invalid for none
	Seed    *uint64       // deterministic profile
	Bound   time.Duration // of the first exchange of DHCP
}

// Errors of Parse.
var (
	ErrMode    = errors.New("network mode must be stub, static or dhcp (nexus.net)")
	ErrAddress = errors.New("static mode needs an IPv4 address with prefix length, such as 10.0.2.15/24 (nexus.addr)")
	ErrGateway = errors.New("gateway must be an IPv4 address (nexus.gw)")
)

// Parse reads the options from the environment, as nexus-init sets it, and from flags, which win.
func Parse(arguments []string) (Options, error) {
	flags := flag.NewFlagSet("netstackd", flag.ContinueOnError)
	mode := flags.String("net", or(os.Getenv("NEXUS_NET"), string(Stub)), "where virt0's address comes from: stub, static or dhcp")
	address := flags.String("addr", os.Getenv("NEXUS_ADDR"), "address and prefix length of static mode")
	gateway := flags.String("gw", os.Getenv("NEXUS_GW"), "gateway of static mode")
	if err := flags.Parse(arguments); err != nil {
		return Options{}, err
	}
	o := Options{Mode: Mode(*mode), Bound: dhcp.FirstBound}
	if seed, ok := svc.Seed(); ok {
		o.Seed = &seed
	}
	switch o.Mode {
	case Stub, DHCP:
		return o, nil
	case Static:
	default:
		return o, ErrMode
	}
	var err error
	if o.Address, err = netip.ParsePrefix(*address); err != nil || !o.Address.Addr().Is4() {
		return o, ErrAddress
	}
	if *gateway == "" {
		return o, nil
	}
	if o.Gateway, err = netip.ParseAddr(*gateway); err != nil || !o.Gateway.Is4() {
		return o, ErrGateway
	}
	return o, nil
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
