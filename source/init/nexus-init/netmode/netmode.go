// Package netmode is how virt0 gets its address: from the built-in DHCP stub,
// from a server on the wire, or as stated. The kernel command line and the
// manifest both can say it.
package netmode

import (
	"errors"
	"net/netip"
)

// Modes of the network.
const (
	Stub   = "stub"
	Static = "static"
	DHCP   = "dhcp"
)

// What can be wrong with a setting.
var (
	ErrMode    = errors.New("want stub, static or dhcp")
	ErrAddress = errors.New("want an IPv4 address with its prefix length, such as 10.0.2.15/24")
	ErrGateway = errors.New("want an IPv4 address, such as 10.0.2.2")
	ErrMissing = errors.New("static needs an address")
	ErrUnused  = errors.New("address and gateway need the mode static")
)

// Setting is one choice, as text.
type Setting struct {
	Mode    string // "" leaves the choice to somebody else
	Address string // with prefix length; for Static
	Gateway string // "" is none; for Static
}

// Check looks at the whole setting.
func (s Setting) Check() error {
	if s.Mode == Static && s.Address == "" {
		return ErrMissing
	}
	if s.Mode != Static && (s.Address != "" || s.Gateway != "") {
		return ErrUnused
	}
	return nil
}

// CheckMode returns nil or ErrMode.
func CheckMode(text string) error {
	if text == Stub || text == Static || text == DHCP {
		return nil
	}
	return ErrMode
}

// CheckAddress returns nil or ErrAddress.
func CheckAddress(text string) error {
	if prefix, err := netip.ParsePrefix(text); err != nil || !prefix.Addr().Is4() {
		return ErrAddress
	}
	return nil
}

// CheckGateway returns nil or ErrGateway.
func CheckGateway(text string) error {
	if gateway, err := netip.ParseAddr(text); err != nil || !gateway.Is4() {
		return ErrGateway
	}
	return nil
}
