package netcli

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"nexus/source/libs/svc"
)

// count is a whole number with bounds.
type count struct {
	value     int
	low, high int
}

func (c *count) String() string { return strconv.Itoa(c.value) }

// Set implements flag.Value.
func (c *count) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < c.low || n > c.high {
		return fmt.Errorf("want a whole number from %d to %d", c.low, c.high)
	}
	c.value = n
	return nil
}

// Type names the value in help texts.
func (c *count) Type() string { return "N" }

// seconds is a duration with bounds; a number without a unit is seconds.
type seconds struct {
	value     time.Duration
	low, high time.Duration
}

func (s *seconds) String() string { return s.value.String() }

// Set implements flag.Value.
func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		d, err = time.ParseDuration(text + "s")
	}
	if err != nil || d < s.low || d > s.high {
		return fmt.Errorf("want a time from %v to %v, as 500ms or 2s or 0.2", s.low, s.high)
	}
	s.value = d
	return nil
}

// Type names the value in help texts.
func (s *seconds) Type() string { return "DURATION" }

// Value is the value of a flag whose help text names what it takes.
type Value interface {
	flag.Value
	Type() string
}

// TimeValue returns the value of a flag that stores a time from low to high in to; a number without a unit is seconds.
func TimeValue(to *time.Duration, low, high time.Duration) Value {
	return &stored{&seconds{*to, low, high}, func(v Value) { *to = v.(*seconds).value }}
}

// CountValue returns the value of a flag that stores a whole number from low to high in to.
func CountValue(to *int, low, high int) Value {
	return &stored{&count{*to, low, high}, func(v Value) { *to = v.(*count).value }}
}

// stored is a value that is stored where it is wanted when it is set.
type stored struct {
	Value
	store func(Value)
}

// Set implements flag.Value.
func (s *stored) Set(text string) error {
	err := s.Value.Set(text)
	if err == nil {
		s.store(s.Value)
	}
	return err
}

// text is any string.
type text struct {
	value string
	name  string // in help texts
	set   bool   // it was given, maybe as ""
}

func (t *text) String() string { return t.value }

// Set implements flag.Value.
func (t *text) Set(value string) error {
	t.value, t.set = value, true
	return nil
}

// Type names the value in help texts.
func (t *text) Type() string { return t.name }

// both defines a flag with a short and a long name.
func both(flags *flag.FlagSet, value flag.Value, short, long, usage string) {
	flags.Var(value, short, usage)
	flags.Var(value, long, usage)
}

// arguments checks how many arguments there are.
func arguments(args []string, low, high int, c Command) error {
	if len(args) < low || len(args) > high {
		return Usagef("%s: want `%s`, got %s", c.Name, c.Synopsis(), plural(len(args), "argument"))
	}
	return nil
}

// plural is a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}

const maxName = 15 // IFNAMSIZ without its NUL

// CheckName checks an interface's name, as far as that can be done without asking.
func CheckName(name string) error {
	valid := name != "" && len(name) <= maxName && svc.Printable(name) == name
	for _, c := range name {
		valid = valid && c != ' ' && c != '/'
	}
	if !valid {
		return Usagef("%q is no interface's name: want 1 to %d printable characters, as lo or virt0 (nx net if lists them)", cut(name), maxName)
	}
	return nil
}

// cut shortens what somebody typed, for an error text.
func cut(s string) string {
	const most = 40
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// parseAddress reads an IPv4 address.
func parseAddress(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		return a, Usagef("%q is no IPv4 address: want four numbers from 0 to 255, as 10.0.2.2; names are not looked up", cut(text))
	}
	return a, nil
}

// parsePrefix reads an address that an interface may have, with the length of its prefix.
func parsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil || !p.Addr().Is4() {
		return p, Usagef("%q is no IPv4 address with a prefix length: want A.B.C.D/N, as 10.0.2.16/24", cut(text))
	}
	if err := usable(p); err != nil {
		return p, Usagef("%s cannot be an interface's address: %s", p, err)
	}
	return p, nil
}

// usable says why no interface can have p as its address.
func usable(p netip.Prefix) error {
	a, bits := p.Addr(), p.Bits()
	switch {
	case bits < 1:
		return errors.New("the prefix length must be 1 to 32")
	case a.IsUnspecified() || a.As4()[0] == 0:
		return errors.New("0.0.0.0/8 names no host")
	case a.IsMulticast():
		return errors.New("it is a multicast address")
	case a.As4()[0] >= 240:
		return errors.New("240.0.0.0/4 is reserved")
	case bits <= 30 && a == p.Masked().Addr():
		return errors.New("it is the network's own address: its host part is zero")
	case bits <= 30 && a == broadcast(p):
		return errors.New("it is the network's broadcast address")
	}
	return nil
}

// broadcast returns the last address of a prefix.
func broadcast(p netip.Prefix) netip.Addr {
	a := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}

// parseGateway reads the gateway of an interface with address p.
func parseGateway(text string, p netip.Prefix) (netip.Addr, error) {
	a, err := parseAddress(text)
	switch {
	case err != nil:
		return a, err
	case !p.Contains(a):
		return a, Usagef("gateway %s is not inside %s: it must be a neighbour", a, p.Masked())
	case a == p.Addr():
		return a, Usagef("gateway %s is the interface's own address: name another host", a)
	}
	return a, nil
}
