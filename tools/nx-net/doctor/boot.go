package doctor

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// symptom is a line of the console, or of QEMU's own words, and what it means.
type symptom struct {
	id    string
	says  *regexp.Regexp
	cause string // $name stands for a group of says
	do    string
}

const treeAdvice = "boot with build/virt-nexus.dtb (make build), or correct the tree's node: enabled, with the slot's own address and interrupt"

// symptoms are looked for in this order in each boot that is not proven. Each is named once, with the lines that show it.
var symptoms = []symptom{
	{"firmware-missing", regexp.MustCompile(`(?i)unable to (find|load) the RISC-V (BIOS|firmware)`),
		"QEMU has no firmware for RISC-V", "scripts/setup.sh, or apt-get install opensbi"},
	{"tap-refused", regexp.MustCompile(`(?i)could not (configure|open) /dev/net/tun.*`),
		"QEMU was not permitted to open the TAP", "run as root or with access to /dev/net/tun, or boot with --nic wire"},
	{"qemu-option", regexp.MustCompile(`(?i)Bus '.*' not found|invalid (option|parameter)|Property .* not found|is not a valid device.*`),
		"this QEMU does not know an option it was given: $0", "QEMU 7.2 or newer: scripts/setup.sh, or $$NEXUS_QEMU"},
	{"legacy-device", regexp.MustCompile(`virtio: legacy \(version 1\) transport`),
		"the network card is offered as a legacy (version 1) virtio device, which Nexus does not drive",
		"start QEMU with -global virtio-mmio.force-legacy=false, as nx boot does without --legacy-nic"},
	{"wrong-device", regexp.MustCompile(`virtionetd: .*virtio: the slot holds another kind of device.*`),
		"another kind of device is in the network card's slot",
		"name the slots with bus= on QEMU's command line: the card belongs on virtio-mmio-bus.1 (0x10002000)"},
	{"no-transport", regexp.MustCompile(`virtio: no virtio-mmio transport at this address`),
		"there is no virtio-mmio slot where the device tree says", "boot with -M virt and the device tree of make build"},
	{"wrong-tree", regexp.MustCompile(`nexus-init: .*(no device virtio_mmio@[0-9a-f]+ in the device tree|window of virtio_mmio@[0-9a-f]+ is at 0x[0-9a-f]+).*`),
		"the device tree does not have the devices that the manifest names: $0",
		treeAdvice},
	{"no-dhcp-reply", regexp.MustCompile(`netstackd: virt0 dhcp no answer after .*`),
		"no DHCP server answered on the wire",
		"boot with --net stub (a server inside the guest) or --net static, or see who serves DHCP: nx boot --net dhcp without --no-lease does"},
	{"kernel-fault", regexp.MustCompile(`neuron: fatal: .*`),
		"the kernel stopped at a fault of its own: $0", "nx logs --raw | go run ./tools/mkkernel symbolize, and report it"},
	{"kernel-refuses", regexp.MustCompile(`neuron: (device tree|boot archive|init): .*`),
		"the kernel cannot start: $0", "make build, and boot with what it made"},
	{"out-of-memory", regexp.MustCompile(`neuron: process [0-9]+ \((.*)\) ended: out of memory.*`),
		"$1 was ended because memory was used up", "boot with more: nx boot --memory 256"},
	{"program-fault", regexp.MustCompile(`neuron: process [0-9]+ \((.*)\) ended: fault .*`),
		"$1 ended with a fault: $0", "it is a bug of the program: report it with nx logs"},
	{"late", regexp.MustCompile(`nexus-init: (.*): not (?:ready|done) within .*`),
		"$1 was not ready in time: $0", "see its last lines: nx logs"},
	{"manifest", regexp.MustCompile(`nexus-init: (kernel command line|open /[^:]*|[^:]*manifest[^:]*): .*`),
		"nexus-init refuses what it was told: $0", "correct the manifest or the command line (docs/architecture/09-nexus-init.md)"},
	{"host-silent", regexp.MustCompile(`SELFTEST: net udp echo FAILED: .*no answer.*`),
		"the host's UDP echo at 10.0.2.2 port 7 did not answer the guest", "start it: tools/net/echo-host.sh; nx boot serves it itself"},
	{"service-failed", regexp.MustCompile(`(\S+): failed: .*`),
		"a service gave up: $0", "do what the line says"},
	{"selftest", regexp.MustCompile(`SELFTEST: .* FAILED: .*`),
		"a self-test failed: $0", "do what the line says"},
}

// explained are symptoms that say no more once another was found.
var explained = map[string][]string{
	"service-failed": {"legacy-device", "missing-nic", "wrong-slot", "wrong-device", "no-transport"},
	"selftest":       {"no-dhcp-reply", "arp-unresolved", "host-silent", "wrong-tree"},
	"host-silent":    {"no-dhcp-reply", "arp-unresolved", "wrong-tree"},
	"no-dhcp-reply":  {"wrong-tree"},
	"arp-unresolved": {"wrong-tree"},
}

// referral is in the line of a program that has said before what failed.
const referral = "see its SELFTEST line"

// boot judges a boot from outside.
func boot(b *Boot) []Finding {
	switch {
	case b.Died:
		return append([]Finding{died(b)}, broken(b)...)
	case !b.Proven:
		if findings := broken(b); len(findings) > 0 {
			return findings
		}
		return []Finding{unexplained(b)}
	}
	findings := []Finding{{ID: "boot", Level: OK, Cause: fmt.Sprintf("guest %s: boot proven (card on %s, address by %s)", b.Name, b.NIC, b.Net)}}
	if !b.Running {
		findings = append(findings, Finding{ID: "no-guest", Level: Note, Cause: "no guest runs: " + b.Name + " has ended", Do: "nx boot --detach, then ask again"})
	}
	return findings
}

// died is the finding of a guest that ended without a word of its own.
func died(b *Boot) Finding {
	return Finding{ID: "guest-died", Level: Fault, Cause: "guest " + b.Name + " died: " + b.Ended,
		Do:       "nx logs " + b.Name + " shows its last lines; the host's log shows whether its memory was used up (journalctl -k, dmesg); nx boot --detach boots another",
		Evidence: b.Console[max(0, len(b.Console)-1):]}
}

// broken names what kept a boot from being proven.
func broken(b *Boot) []Finding {
	var findings []Finding
	found := map[string]bool{}
	add := func(f Finding) {
		for _, by := range explained[f.ID] {
			if found[by] {
				return
			}
		}
		if !found[f.ID] {
			found[f.ID] = true
			findings = append(findings, f)
		}
	}
	for _, rule := range []func(*Boot) (Finding, bool){card, interrupt, unresolved} {
		if f, ok := rule(b); ok {
			add(f)
		}
	}
	for _, s := range symptoms {
		if f, ok := s.seen(b); ok {
			add(f)
		}
	}
	return findings
}

// seen looks for the symptom.
func (s symptom) seen(b *Boot) (Finding, bool) {
	f := Finding{ID: s.id, Level: Fault}
	for _, line := range append(strings.Split(b.Stderr, "\n"), b.Console...) {
		m := s.says.FindStringSubmatchIndex(line)
		if m == nil || strings.Contains(line, referral) {
			continue
		}
		if f.Evidence == nil {
			f.Cause = string(s.says.ExpandString(nil, s.cause, line, m))
			f.Do = string(s.says.ExpandString(nil, s.do, line, m))
		}
		if len(f.Evidence) < maxEvidence {
			f.Evidence = append(f.Evidence, strings.TrimSpace(line))
		}
	}
	if s.id == "no-dhcp-reply" && f.Evidence != nil {
		f.Evidence = append(f.Evidence, dhcpSeen(b.Frames)...)
	}
	return f, f.Evidence != nil
}

// maxEvidence bounds the lines shown for one finding.
const maxEvidence = 5

// emptySlot is what virtionetd says when nothing is plugged into its slot.
const emptySlot = "virtionetd: failed: virtio: no device in this slot"

// cardBus is where the network card belongs.
const cardBus = "virtio-mmio-bus.1"

// card tells a missing network card from one in another slot: the guest sees the same empty slot.
func card(b *Boot) (Finding, bool) {
	var line string
	for _, l := range b.Console {
		if strings.Contains(l, emptySlot) {
			line = l
			break
		}
	}
	if line == "" {
		return Finding{}, false
	}
	for _, word := range b.QEMU {
		if !strings.HasPrefix(word, "virtio-net-device") {
			continue
		}
		return Finding{ID: "wrong-slot", Level: Fault,
			Cause:    "the network card is in another slot than the device tree says",
			Do:       "put bus=" + cardBus + " (0x10002000) on QEMU's -device virtio-net-device; QEMU fills slots from the top unless told otherwise",
			Evidence: []string{line, "QEMU was given -device " + word},
		}, true
	}
	return Finding{ID: "missing-nic", Level: Fault,
		Cause:    "the machine has no network card",
		Do:       "nx boot --nic tap, wire or user; with a QEMU of your own: -device virtio-net-device,bus=" + cardBus,
		Evidence: []string{line},
	}, true
}

// slots are where QEMU's virt machine has its virtio devices: a page each, with the interrupts from 1 on.
const (
	firstSlot = 0x10001000
	slotSize  = 0x1000
)

// driven is what virtionetd says of the card that it found.
var driven = regexp.MustCompile(`virtionetd: mmio=0x([0-9a-f]+) irq=([0-9]+) `)

// interrupt finds a card whose interrupt is another slot's: it sends, and never hears.
func interrupt(b *Boot) (Finding, bool) {
	for _, line := range b.Console {
		m := driven.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		at, errAt := strconv.ParseUint(m[1], 16, 64)
		irq, errIRQ := strconv.ParseUint(m[2], 10, 32)
		if errAt != nil || errIRQ != nil || at < firstSlot {
			continue
		}
		if want := (at-firstSlot)/slotSize + 1; irq != want {
			return Finding{ID: "wrong-tree", Level: Fault,
				Cause:    fmt.Sprintf("the device tree gives the network card interrupt %d; its slot at %#x has %d", irq, at, want),
				Do:       treeAdvice,
				Evidence: []string{line},
			}, true
		}
	}
	return Finding{}, false
}

// dhcpSeen tells which DHCP messages crossed the wire.
func dhcpSeen(frames []Frame) []string {
	count := map[string]int{}
	var order []string
	for _, f := range frames {
		if !strings.HasPrefix(f.Kind, "dhcp.") {
			continue
		}
		from := "host"
		if f.FromGuest {
			from = "guest"
		}
		what := strings.ToUpper(strings.TrimPrefix(f.Kind, "dhcp.")) + " from the " + from
		if count[what] == 0 {
			order = append(order, what)
		}
		count[what]++
	}
	if len(order) == 0 {
		return []string{"the wire carried no DHCP message at all"}
	}
	var lines []string
	for _, what := range order {
		lines = append(lines, fmt.Sprintf("the wire carried %d %s", count[what], what))
	}
	return lines
}

// unresolved looks for an address that the guest asked for on the wire and nobody answered for.
func unresolved(b *Boot) (Finding, bool) {
	asked := map[string]int{}
	var order []string
	for _, f := range b.Frames {
		switch {
		case f.Kind == "arp.request" && f.FromGuest && f.SrcIP != f.DstIP:
			who := f.DstIP.String()
			if asked[who] == 0 {
				order = append(order, who)
			}
			asked[who]++
		case f.Kind == "arp.reply" && !f.FromGuest:
			asked[f.SrcIP.String()] = 0
		}
	}
	for _, who := range order {
		if asked[who] > 0 {
			return Finding{ID: "arp-unresolved", Level: Fault,
				Cause:    "nobody on the wire answers for " + who,
				Do:       "see that the host's end is up and has that address: tools/net/setup-tap.sh, nx boot --nic wire, or correct the address and gateway",
				Evidence: []string{fmt.Sprintf("the guest asked %d times who has %s, without a reply", asked[who], who)},
			}, true
		}
	}
	return Finding{}, false
}

// unexplained is the finding of a boot that failed for no reason known here.
func unexplained(b *Boot) Finding {
	if b.Running && len(b.Failures) == 0 {
		return Finding{ID: "boot", Level: Note, Cause: "guest " + b.Name + " is still booting", Do: "nx logs -f " + b.Name}
	}
	cause := "the boot of guest " + b.Name + " is not proven"
	if b.Ended != "" {
		cause += ": " + b.Ended
	}
	return Finding{ID: "boot", Level: Fault, Cause: cause, Do: "nx logs " + b.Name + " shows its console",
		Evidence: b.Failures[:min(len(b.Failures), maxEvidence)]}
}
