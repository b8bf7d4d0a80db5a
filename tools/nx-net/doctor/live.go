package doctor

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"nexus/source/api/netapi"
)

const (
	loopbackName = "lo"
	cardName     = "virt0"
)

// userHosts are the addresses at which QEMU's user network itself answers a ping.
var userHosts = []netip.Addr{netip.MustParseAddr("10.0.2.2"), netip.MustParseAddr("10.0.2.3")}

// live judges a running guest by what it answers.
func live(b *Boot, l *Live) []Finding {
	if l.Error != nil {
		return []Finding{{ID: "control-channel", Level: Fault,
			Cause: "the guest does not answer on its control channel: " + l.Error.Error(),
			Do:    "nx logs shows whether controld runs (a manifest without it has no control channel); nx ps shows whether the guest does",
		}}
	}
	findings := interfaces(l)
	findings = append(findings, counters(l.Counters)...)
	for _, p := range l.Pings {
		findings = append(findings, ping(b, l, p))
	}
	return findings
}

// interfaces judges lo and virt0.
func interfaces(l *Live) []Finding {
	var findings []Finding
	for _, name := range []string{loopbackName, cardName} {
		i, found := interfaceNamed(l.Interfaces, name)
		switch {
		case !found:
			findings = append(findings, Finding{ID: "no-interface", Level: Fault,
				Cause: "netstackd has no interface " + name, Do: "nx logs: netstackd says why"})
		case !i.Up:
			findings = append(findings, Finding{ID: "interface-down", Level: Fault,
				Cause: name + " is down", Do: "nx net up " + name})
		case !i.Address.Prefix.IsValid():
			findings = append(findings, Finding{ID: "no-address", Level: Fault,
				Cause: name + " has no address", Do: "nx net dhcp " + name + ", or nx net addr " + name + " set 10.0.2.15/24 gw 10.0.2.2"})
		default:
			findings = append(findings, Finding{ID: "interface", Level: OK,
				Cause: fmt.Sprintf("%s is up with %v", name, i.Address.Prefix)})
		}
	}
	return findings
}

func interfaceNamed(all []netapi.Interface, name string) (netapi.Interface, bool) {
	for _, i := range all {
		if i.Name == name {
			return i, true
		}
	}
	return netapi.Interface{}, false
}

// telling are counters that say something when they are not 0.
var telling = []struct {
	name, id string
	level    Level
	cause    string
	do       string
}{
	{"virt0.rx.drop.arp-address-conflict", "address-conflict", Fault, "somebody else on the wire claims virt0's address",
		"give virt0 another: nx net addr virt0 set A.B.C.D/N"},
	{"nic.resets.failed", "device-broken", Fault, "the network card does not come back after a reset", "stop the guest and boot again; see QEMU's own messages"},
	{"nic.broken", "device-misbehaves", Warning, "the network card broke its rings and was reset", "nx net stats nic shows how; another QEMU may help"},
	{"nic.silent", "device-silent", Warning, "the network card took frames and did not send them for seconds",
		"see that the host's end of the link reads: the runner, the TAP"},
	{"virt0.driver-restarts", "driver-restarts", Warning, "virtionetd was started again", "nx logs says why it ended"},
	{"nic.rx.drop.nostack", "rx-dropped", Note, "frames came in before a network stack was there", "nothing, unless it grows"},
	{"nic.rx.drop.stackfull", "rx-overrun", Warning, "frames were dropped because netstackd did not give buffers back in time", "send slower; nx net stats queue"},
	{"virt0.tx.drop.queue-full", "tx-overrun", Warning, "frames were dropped because the card did not take them in time", "send slower; nx net stats virt0.tx"},
	{"virt0.rx.drop.martian", "martians", Note, "frames with addresses that no wire may carry were dropped", "nx net capture shows who sends them"},
	{"virt0.rx.drop.echo-rate", "echo-rate", Note, "pings came faster than the guest answers them", "ping slower"},
}

// counters judges what was counted.
func counters(values map[string]uint64) []Finding {
	var findings []Finding
	for _, t := range telling {
		if n := values[t.name]; n > 0 {
			findings = append(findings, Finding{ID: t.id, Level: t.level, Cause: t.cause, Do: t.do,
				Evidence: []string{fmt.Sprintf("%s = %d", t.name, n)}})
		}
	}
	return findings
}

// ping judges how one address answered.
func ping(b *Boot, l *Live, p Ping) Finding {
	who := p.To.String()
	if p.Gateway {
		who = "the gateway " + who
	}
	if p.Error == nil && p.Got > 0 {
		return Finding{ID: "ping", Level: OK, Cause: fmt.Sprintf("%s answers ping (%d of %d)", who, p.Got, p.Sent)}
	}
	evidence := []string{fmt.Sprintf("%d of %d pings answered", p.Got, p.Sent)}
	if p.Error != nil {
		evidence = []string{"ping: " + p.Error.Error()}
	}
	if errors.Is(p.Error, syscall.ENETUNREACH) {
		return Finding{ID: "no-route", Level: Fault, Cause: "virt0 has no route to " + p.To.String(),
			Do: "give it a gateway: nx net addr virt0 set A.B.C.D/N gw A.B.C.D", Evidence: evidence}
	}
	// Whoever is asked beyond the subnet, the gateway is the neighbour that must answer.
	if n, ok := unresolvedNeighbour(l, p.To); ok {
		return Finding{ID: "arp-unresolved", Level: Fault, Cause: "nobody on the wire answers for " + n.IP.String(),
			Do:       "see that the host's end is up and has that address, or correct virt0's: nx net addr virt0 set 10.0.2.15/24 gw 10.0.2.2",
			Evidence: append(evidence, fmt.Sprintf("neighbour %v is %s", n.IP, n.State))}
	}
	if b != nil && b.NIC == "user" && !slices.Contains(userHosts, p.To) {
		return Finding{ID: "user-network-ping", Level: Fault, Cause: "QEMU's user network does not pass on ping: " + p.To.String() + " cannot answer",
			Do:       "use TCP or UDP through it, ping 10.0.2.2, or boot with --nic tap",
			Evidence: evidence}
	}
	return Finding{ID: "ping-lost", Level: Fault, Cause: who + " does not answer ping",
		Do: "nx net capture -i virt0 shows whether the requests leave and what comes back; on tap and wire nothing but 10.0.2.2 is there", Evidence: evidence}
}

// unresolvedNeighbour returns the neighbour that a packet to ip goes to, if its hardware address is not known.
func unresolvedNeighbour(l *Live, ip netip.Addr) (netapi.Neighbour, bool) {
	i, found := interfaceNamed(l.Interfaces, cardName)
	if !found || !i.Address.Prefix.IsValid() {
		return netapi.Neighbour{}, false
	}
	hop := ip
	if !i.Address.Prefix.Masked().Contains(ip) {
		hop = i.Address.Gateway
	}
	for _, n := range l.Neighbours {
		if n.IP == hop && (n.MAC == [6]byte{} || strings.EqualFold(n.State, "unreachable") || strings.EqualFold(n.State, "incomplete")) {
			return n, true
		}
	}
	return netapi.Neighbour{}, false
}
