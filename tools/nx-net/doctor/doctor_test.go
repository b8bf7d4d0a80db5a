package doctor

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"nexus/source/api/netapi"
)

var (
	guestIP = netip.MustParseAddr("10.0.2.15")
	hostIP  = netip.MustParseAddr("10.0.2.2")
	errTest = errors.New("some reason: do this")
)

// healthy is a running, proven guest on a machine that has everything.
func healthy() Facts {
	return Facts{
		Host: Host{QEMU: "7.2"},
		Boot: &Boot{Name: "g1", NIC: "tap", Net: "stub", Running: true, Proven: true},
		Live: &Live{
			Interfaces: []netapi.Interface{
				{Name: "lo", Up: true, Address: netapi.Address{Prefix: netip.MustParsePrefix("127.0.0.1/8")}},
				{Name: "virt0", Up: true, Address: netapi.Address{Prefix: netip.MustParsePrefix("10.0.2.15/24"), Gateway: hostIP}},
			},
			Neighbours: []netapi.Neighbour{{Interface: "virt0", IP: hostIP, MAC: [6]byte{2, 0, 0, 0, 0, 2}, State: "reachable"}},
			Counters:   map[string]uint64{"nic.rx.frames": 12},
			Pings:      []Ping{{To: hostIP, Gateway: true, Sent: 2, Got: 2}},
		},
	}
}

// failed is the boot that printed lines and is not proven.
func failed(lines ...string) func(*Facts) {
	return func(f *Facts) {
		f.Live, f.Boot.Running, f.Boot.Proven = nil, false, false
		f.Boot.Ended, f.Boot.Failures = "QEMU ended with status 1", []string{"marker x is missing"}
		f.Boot.Console = lines
	}
}

func arp(kind string, fromGuest bool, src, dst netip.Addr) Frame {
	return Frame{Kind: kind, FromGuest: fromGuest, SrcIP: src, DstIP: dst}
}

func TestDiagnose(t *testing.T) {
	const emptySlotLine = "virtionetd: failed: virtio: no device in this slot: name the slot"
	for _, tc := range []struct {
		name   string
		broken func(*Facts)
		want   string // the one fault or warning; "" none
		says   []string
	}{
		{"healthy", func(*Facts) {}, "", nil},
		{"no QEMU", func(f *Facts) { f.Host.QEMUError = errTest }, "qemu", []string{"some reason", "scripts/setup.sh"}},
		{"no firmware", func(f *Facts) { f.Host.Firmware = errTest }, "firmware", []string{"opensbi"}},
		{"not built", func(f *Facts) { f.Host.Files = []error{errTest} }, "build", []string{"make build"}},
		{"no TAP", func(f *Facts) { f.Host.TAP = errTest }, "tap", []string{"--nic wire"}},
		{"legacy", failed("virtionetd: failed: virtio: legacy (version 1) transport: start QEMU with"), "legacy-device",
			[]string{"-global virtio-mmio.force-legacy=false"}},
		{"no card", failed(emptySlotLine), "missing-nic", []string{"--nic tap, wire or user"}},
		{"wrong slot", func(f *Facts) {
			failed(emptySlotLine)(f)
			f.Boot.QEMU = []string{"-device", "virtio-net-device,netdev=n0,bus=virtio-mmio-bus.5"}
		}, "wrong-slot", []string{"bus=virtio-mmio-bus.1", "seen: QEMU was given -device virtio-net-device,netdev=n0,bus=virtio-mmio-bus.5"}},
		{"a disk in the slot", failed("virtionetd: failed: virtio: the slot holds another kind of device: check (found 2, want 1)"),
			"wrong-device", []string{"virtio-mmio-bus.1"}},
		{"tree", failed("nexus-init: virtionetd: descriptor window: window of virtio_mmio@10002000 is at 0x10003000, want its node's"),
			"wrong-tree", []string{"virt-nexus.dtb"}},
		{"interrupt of another slot", failed("virtionetd: mmio=0x10002000 irq=3 mac=02:00:00:00:00:01 mtu=1500",
			"netstackd: virt0 dhcp no answer after 3 DISCOVER in 8s, going on without an address",
			"SELFTEST: net fetch echo FAILED: fetch http://10.0.2.2:8080/hello: no route to host: does its server run?",
			"SELFTEST: net udp echo FAILED: udp 10.0.2.2:7: no answer to 5 datagrams: does the host's echo run",
			"selftest-client: failed: a check failed, see its SELFTEST line"),
			"wrong-tree", []string{"interrupt 3; its slot at 0x10002000 has 2", "virt-nexus.dtb"}},
		{"no lease", func(f *Facts) {
			failed("netstackd: virt0 dhcp no answer after 3 DISCOVER in 8s, going on without an address",
				"SELFTEST: net udp echo FAILED: udp 10.0.2.2:7: no answer to 5 datagrams",
				"selftest-client: failed: a check failed, see its SELFTEST line")(f)
			f.Boot.Frames = []Frame{{Kind: "dhcp.discover", FromGuest: true}, {Kind: "dhcp.discover", FromGuest: true}, {Kind: "dhcp.offer"}}
		}, "no-dhcp-reply", []string{"seen: the wire carried 2 DISCOVER from the guest", "1 OFFER from the host", "--net stub"}},
		{"no lease, silent wire", failed("netstackd: virt0 dhcp no answer after 3 DISCOVER in 8s"), "no-dhcp-reply",
			[]string{"the wire carried no DHCP message at all"}},
		{"nobody answers ARP", func(f *Facts) {
			failed("SELFTEST: net udp echo FAILED: udp 10.0.2.2:7: no route to host")(f)
			f.Boot.Frames = []Frame{arp("arp.request", true, guestIP, guestIP), arp("arp.request", true, guestIP, hostIP), arp("arp.request", true, guestIP, hostIP)}
		}, "arp-unresolved", []string{"nobody on the wire answers for 10.0.2.2", "asked 2 times"}},
		{"host's echo is silent", func(f *Facts) {
			failed("SELFTEST: net udp echo FAILED: udp 10.0.2.2:7: no answer to 5 datagrams: does the host's echo run")(f)
			f.Boot.Frames = []Frame{arp("arp.request", true, guestIP, hostIP), arp("arp.reply", false, hostIP, guestIP)}
		}, "host-silent", []string{"tools/net/echo-host.sh"}},
		{"firmware, says QEMU", func(f *Facts) { failed()(f); f.Boot.Stderr = "qemu: Unable to find the RISC-V BIOS \"x\"" }, "firmware-missing", nil},
		{"firmware, says QEMU 7.2", func(f *Facts) {
			failed()(f)
			f.Boot.Stderr = "qemu-system-riscv64: Unable to load the RISC-V firmware \"opensbi-riscv64-generic-fw_dynamic.bin\""
		}, "firmware-missing", []string{"opensbi"}},
		{"TAP, says QEMU", func(f *Facts) { failed()(f); f.Boot.Stderr = "could not open /dev/net/tun: Operation not permitted" }, "tap-refused",
			[]string{"--nic wire"}},
		{"option, says QEMU", func(f *Facts) { failed()(f); f.Boot.Stderr = "qemu: Bus 'virtio-mmio-bus.9' not found" }, "qemu-option",
			[]string{"Bus 'virtio-mmio-bus.9' not found", "$NEXUS_QEMU"}},
		{"kernel", failed("neuron: fatal: trap load page fault"), "kernel-fault", []string{"symbolize"}},
		{"archive", failed("neuron: boot archive: none"), "kernel-refuses", []string{"make build"}},
		{"memory", failed("neuron: process 5 (netstackd) ended: out of memory at 0x1, pc 0x2"), "out-of-memory", []string{"netstackd was ended", "--memory"}},
		{"a fault", failed("neuron: process 5 (netstackd) ended: fault at 0x1, pc 0x2"), "program-fault", []string{"netstackd ended"}},
		{"late", failed("nexus-init: echod: not ready within 5s, its last status: none"), "late", []string{"echod was not ready"}},
		{"manifest", failed("nexus-init: kernel command line: \"nexus.foo\": unknown"), "manifest", []string{"nexus.foo"}},
		{"no manifest", failed("nexus-init: open /etc/nexus/none.json: no such file or directory"), "manifest", []string{"none.json"}},
		{"a service", failed("fetchd: failed: something: do that"), "service-failed", []string{"fetchd: failed: something: do that"}},
		{"no card for the control port", failed("controld: failed: virtio: no device in this slot: name the slot"), "service-failed",
			[]string{"controld: failed: virtio: no device in this slot"}},
		{"a check", failed("SELFTEST: net lo ping FAILED: ping 127.0.0.1: no answer",
			"selftest-client: failed: a check failed, see its SELFTEST line"), "selftest", []string{"do what the line says"}},
		{"nothing known", failed("some line"), "boot", []string{"QEMU ended with status 1", "marker x is missing", "nx logs g1"}},
		{"died", func(f *Facts) {
			f.Live, f.Boot.Running, f.Boot.Died = nil, false, true
			f.Boot.Ended, f.Boot.Console = "its nx was killed", []string{"one line", "the last line"}
		}, "guest-died", []string{"guest g1 died: its nx was killed", "seen: the last line", "nx logs g1", "nx boot"}},
		{"died while it booted", func(f *Facts) {
			f.Live, f.Boot.Running, f.Boot.Died, f.Boot.Proven = nil, false, true, false
		}, "guest-died", nil},
		{"control channel", func(f *Facts) { f.Live = &Live{Error: errTest} }, "control-channel", []string{"some reason", "nx logs"}},
		{"lo is gone", func(f *Facts) { f.Live.Interfaces = f.Live.Interfaces[1:] }, "no-interface", []string{"lo"}},
		{"virt0 is down", func(f *Facts) { f.Live.Interfaces[1].Up, f.Live.Pings = false, nil }, "interface-down", []string{"nx net up virt0"}},
		{"no address", func(f *Facts) { f.Live.Interfaces[1].Address, f.Live.Pings = netapi.Address{}, nil }, "no-address", []string{"nx net dhcp virt0"}},
		{"conflict", func(f *Facts) { f.Live.Counters["virt0.rx.drop.arp-address-conflict"] = 2 }, "address-conflict",
			[]string{"seen: virt0.rx.drop.arp-address-conflict = 2"}},
		{"gateway is not there", func(f *Facts) {
			f.Live.Pings[0] = Ping{To: hostIP, Gateway: true, Error: syscall.EHOSTUNREACH}
			f.Live.Neighbours[0].MAC, f.Live.Neighbours[0].State = [6]byte{}, "incomplete"
		}, "arp-unresolved", []string{"10.0.2.2 is incomplete", "nx net addr virt0 set"}},
		{"gateway of a target beyond is not there", func(f *Facts) {
			f.Live.Pings = []Ping{{To: netip.MustParseAddr("192.0.2.1"), Sent: 2}}
			f.Live.Neighbours[0].State = "unreachable"
		}, "arp-unresolved", []string{"10.0.2.2 is unreachable"}},
		{"no route", func(f *Facts) {
			f.Live.Pings = []Ping{{To: netip.MustParseAddr("192.0.2.1"), Error: syscall.ENETUNREACH}}
		}, "no-route", []string{"gw"}},
		{"user network", func(f *Facts) {
			f.Boot.NIC = "user"
			f.Live.Pings = append(f.Live.Pings, Ping{To: netip.MustParseAddr("192.0.2.1"), Sent: 2})
		}, "user-network-ping", []string{"--nic tap"}},
		{"silent gateway", func(f *Facts) { f.Live.Pings[0].Got = 0 }, "ping-lost", []string{"the gateway 10.0.2.2", "0 of 2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := healthy()
			tc.broken(&f)
			findings := Diagnose(f)
			var bad []string
			for _, one := range findings {
				if one.Level == Fault || one.Level == Warning {
					bad = append(bad, one.ID)
				}
			}
			want := []string{}
			if tc.want != "" {
				want = append(want, tc.want)
			}
			if !slices.Equal(bad, want) {
				t.Errorf("named %q, want %q: %+v", bad, want, findings)
			}
			var text strings.Builder
			if err := Print(&text, findings); err != nil {
				t.Fatal(err)
			}
			for _, s := range tc.says {
				if !strings.Contains(text.String(), s) {
					t.Errorf("does not say %q:\n%s", s, text.String())
				}
			}
		})
	}
}

// Each fault and warning says what to do, and names its kind in words that a program can rely on.
func TestEveryFindingSaysWhatToDo(t *testing.T) {
	for _, s := range symptoms {
		if s.id == "" || s.do == "" || s.cause == "" {
			t.Errorf("%+v is not complete", s)
		}
	}
	for _, c := range telling {
		if c.id == "" || c.do == "" || c.cause == "" {
			t.Errorf("%+v is not complete", c)
		}
	}
}

func TestStillBooting(t *testing.T) {
	f := healthy()
	f.Boot.Proven, f.Live = false, nil
	if got := Diagnose(f); Faulty(got) || !strings.Contains(got[len(got)-1].Cause, "still booting") {
		t.Errorf("%+v", got)
	}
}

func TestNoGuest(t *testing.T) {
	ended := healthy()
	ended.Boot.Running, ended.Live = false, nil
	for _, facts := range []Facts{{Host: Host{QEMU: "7.2"}}, ended} {
		got := Diagnose(facts)
		if last := got[len(got)-1]; Faulty(got) || last.ID != "no-guest" || !strings.Contains(last.Do, "nx boot") {
			t.Errorf("%+v", got)
		}
	}
}

// A guest's line cannot drive the terminal.
func TestPrintIsPrintable(t *testing.T) {
	f := healthy()
	failed("x: failed: \x1b[2Jgone\rforged")(&f)
	var text strings.Builder
	if err := Print(&text, Diagnose(f)); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(text.String(), "\x1b\r") {
		t.Errorf("%q", text.String())
	}
}
