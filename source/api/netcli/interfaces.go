package netcli

import (
	"context"
	"errors"
	"flag"
	"strconv"
	"strings"
	"syscall"

	"nexus/source/api/netapi"
	"nexus/source/api/netcapnp"
	"nexus/source/libs/decode"
)

// addressDocument is an address in JSON.
type addressDocument struct {
	Address      string   `json:"address"` // with its prefix length
	Gateway      string   `json:"gateway"` // "" for none
	DNS          []string `json:"dns"`
	Origin       string   `json:"origin"`       // loopback, static or dhcp
	LeaseSeconds int64    `json:"leaseSeconds"` // 0 unless origin is dhcp
}

// interfaceDocument is an interface in JSON.
type interfaceDocument struct {
	Name    string           `json:"name"`
	Up      bool             `json:"up"`
	MAC     string           `json:"mac"` // "" for lo
	MTU     int              `json:"mtu"`
	Address *addressDocument `json:"address"` // null when it has none
}

// describe returns nil for no address.
func describe(a netapi.Address) *addressDocument {
	if !a.Prefix.IsValid() {
		return nil
	}
	d := &addressDocument{Address: a.Prefix.String(), DNS: []string{}, Origin: origin(a.Origin), LeaseSeconds: int64(a.Lease.Seconds())}
	if a.Gateway.IsValid() {
		d.Gateway = a.Gateway.String()
	}
	for _, server := range a.DNS {
		if server.IsValid() {
			d.DNS = append(d.DNS, server.String())
		}
	}
	return d
}

func origin(o netcapnp.Origin) string {
	switch o {
	case netcapnp.Origin_loopback, netcapnp.Origin_static, netcapnp.Origin_dhcp:
		return o.String()
	}
	return "unknown"
}

// String is the address in a line.
func (d *addressDocument) String() string {
	if d == nil {
		return "no address"
	}
	text := d.Address
	if d.Gateway != "" {
		text += " gw " + d.Gateway
	}
	if len(d.DNS) > 0 {
		text += " dns " + strings.Join(d.DNS, ",")
	}
	text += " " + d.Origin
	if d.LeaseSeconds > 0 {
		text += " lease " + strconv.FormatInt(d.LeaseSeconds, 10) + "s"
	}
	return text
}

func macText(mac [6]byte) string {
	if mac == ([6]byte{}) {
		return ""
	}
	return decode.MAC(mac[:])
}

func ifCommand() Command {
	c := Command{
		Name:  "if",
		Short: "List the network interfaces",
		Long: `List the guest's network interfaces with their state, hardware address, MTU, IPv4 address and where that came
from. The last line is "nx: net if n=" and their number.`,
		Example: "nx net if\nnx net if -q\nnx net if --json",
	}
	c.Prepare = func(flags *flag.FlagSet) Runner {
		quiet := new(bool)
		flags.BoolVar(quiet, "q", false, "print only the last line")
		flags.BoolVar(quiet, "quiet", false, "print only the last line")
		return func(ctx context.Context, env *Env, args []string) error {
			if err := arguments(args, 0, 0, c); err != nil {
				return err
			}
			return listInterfaces(ctx, env, *quiet)
		}
	}
	return c
}

func listInterfaces(ctx context.Context, env *Env, quiet bool) error {
	all := []interfaceDocument{}
	err := env.ask(ctx, Netstackd, func(client *netapi.Client) error {
		list, err := client.IfList()
		for _, i := range list {
			all = append(all, interfaceDocument{i.Name, i.Up, macText(i.MAC), i.MTU, describe(i.Address)})
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case env.JSON:
		return env.document(map[string]any{"interfaces": all})
	}
	if !quiet {
		rows := [][]string{{"NAME", "STATE", "MAC", "MTU", "ADDRESS", "ORIGIN"}}
		for _, i := range all {
			address, from := "-", "-"
			if i.Address != nil {
				address, from = i.Address.Address, i.Address.Origin
			}
			rows = append(rows, []string{i.Name, state(i.Up), orDash(i.MAC), strconv.Itoa(i.MTU), address, from})
		}
		env.table(rows)
	}
	env.line("nx: net if n=%d", len(all))
	return nil
}

func state(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

func addrCommand() Command {
	c := Command{
		Name:      "addr",
		Arguments: "NAME [set A.B.C.D/N [gw A.B.C.D]]",
		Short:     "Show or set an interface's address",
		Long: `Show an interface's IPv4 address, or set it by hand, with a gateway or without; that ends DHCP on the interface.
Open connections from the old address end.`,
		Example:   "nx net addr virt0\nnx net addr virt0 set 10.0.2.16/24\nnx net addr virt0 set 10.0.2.16/24 gw 10.0.2.2",
		Interface: true,
	}
	c.Prepare = func(*flag.FlagSet) Runner {
		return func(ctx context.Context, env *Env, args []string) error {
			if err := arguments(args, 1, 5, c); err != nil {
				return err
			}
			fresh, err := parseAddr(args)
			if err != nil {
				return err
			}
			return address(ctx, env, args[0], func(client *netapi.Client) (netapi.Address, error) {
				if fresh.Prefix.IsValid() {
					if err := client.AddrSet(args[0], fresh); err != nil {
						return netapi.Address{}, err
					}
				}
				return client.AddrGet(args[0])
			})
		}
	}
	return c
}

// parseAddr reads the arguments of addr; the zero Address means that it is only to be shown.
func parseAddr(args []string) (a netapi.Address, err error) {
	if err := CheckName(args[0]); err != nil {
		return a, err
	}
	switch {
	case len(args) == 1:
		return a, nil
	case args[1] != "set":
		return a, Usagef("addr: %q is not understood: want `set A.B.C.D/N` after the name, or nothing", cut(args[1]))
	case len(args) == 2:
		return a, Usagef("addr: an address is missing after `set`: want A.B.C.D/N, as 10.0.2.16/24")
	}
	if a.Prefix, err = parsePrefix(args[2]); err != nil || len(args) == 3 {
		return a, err
	}
	if args[3] != "gw" || len(args) != 5 {
		return a, Usagef("addr: %q is not understood: want `gw A.B.C.D` after the address, or nothing", cut(strings.Join(args[3:], " ")))
	}
	a.Gateway, err = parseGateway(args[4], a.Prefix)
	return a, err
}

// namedAddress is an interface's address in JSON.
type namedAddress struct {
	Name    string           `json:"name"`
	Address *addressDocument `json:"address"`
}

// address prints the address that get gives.
func address(ctx context.Context, env *Env, name string, get func(*netapi.Client) (netapi.Address, error)) error {
	var a netapi.Address
	err := env.ask(ctx, Netstackd, func(client *netapi.Client) (err error) {
		a, err = get(client)
		return err
	})
	switch {
	case err != nil:
		return err
	case env.JSON:
		return env.document(namedAddress{name, describe(a)})
	}
	env.line("%s %v", name, describe(a))
	return nil
}

var errNoLease = &Error{Status: StatusRefused, Errno: syscall.ETIMEDOUT, Text: "no DHCP server answered: does one serve the wire " +
	"(nx boot --net dhcp, without --no-lease)? nx net capture shows the DISCOVERs; nx net addr NAME set A.B.C.D/N does without"}

func dhcpCommand() Command {
	c := Command{
		Name:      "dhcp",
		Arguments: "NAME",
		Short:     "Lease an address by DHCP",
		Long:      `Obtain a lease for an interface, or confirm the one it has, and print its address. It may take a minute.`,
		Example:   "nx net dhcp virt0",
		Interface: true,
	}
	c.Prepare = func(*flag.FlagSet) Runner {
		return func(ctx context.Context, env *Env, args []string) error {
			name, err := oneName(args, c)
			if err != nil {
				return err
			}
			err = address(ctx, env, name, func(client *netapi.Client) (netapi.Address, error) { return client.DHCP(name) })
			var refused *netapi.Error
			if errors.As(err, &refused) && refused.Errno == syscall.ETIMEDOUT {
				return errNoLease
			}
			return err
		}
	}
	return c
}

// oneName checks that the arguments are an interface's name.
func oneName(args []string, c Command) (string, error) {
	if err := arguments(args, 1, 1, c); err != nil {
		return "", err
	}
	return args[0], CheckName(args[0])
}

func upCommand() Command {
	return setUpCommand("up", "Set an interface up", true)
}

func downCommand() Command {
	return setUpCommand("down", "Set an interface down", false)
}

func setUpCommand(name, short string, up bool) Command {
	c := Command{
		Name:      name,
		Arguments: "NAME",
		Short:     short,
		Long:      short + ". It may be so already; a down interface keeps its address and carries nothing.",
		Example:   "nx net " + name + " virt0",
		Interface: true,
	}
	c.Prepare = func(*flag.FlagSet) Runner {
		return func(ctx context.Context, env *Env, args []string) error {
			name, err := oneName(args, c)
			if err != nil {
				return err
			}
			err = env.ask(ctx, Netstackd, func(client *netapi.Client) error {
				if up {
					return client.IfUp(name)
				}
				return client.IfDown(name)
			})
			switch {
			case err != nil:
				return err
			case env.JSON:
				return env.document(map[string]any{"name": name, "up": up})
			}
			env.line("%s %s", name, state(up))
			return nil
		}
	}
	return c
}
