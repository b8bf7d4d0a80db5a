package boot

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestNoCard(t *testing.T) {
	r := boot(t, nil, "--nic", "none")
	r.refused(t,
		"virtionetd: failed: virtio: no device in this slot",
		"-device virtio-net-device,bus=virtio-mmio-bus.1",
		"nexus-init: virtionetd: exited with status 125 before it was ready",
		"neuron: power off, init exited with status 1")
	diagnosed(t, r.Name, "missing-nic", "the machine has no network card", "--nic tap, wire or user")
}

// A card in another slot is no card to the guest; doctor tells the two apart.
func TestCardInAnotherSlot(t *testing.T) {
	r := boot(t, nil, "--nic", "none", "--device", "virtio-net-device,bus=virtio-mmio-bus.4")
	r.refused(t, "virtionetd: failed: virtio: no device in this slot")
	diagnosed(t, r.Name, "wrong-slot", "-device virtio-net-device,bus=virtio-mmio-bus.4", "bus=virtio-mmio-bus.1 (0x10002000)")
}

func TestLegacyCard(t *testing.T) {
	r := boot(t, nil, "--nic", "wire", "--legacy-nic")
	r.refused(t,
		"virtionetd: failed: virtio: legacy (version 1) transport: start QEMU with -global virtio-mmio.force-legacy=false",
		"nexus-init: virtionetd: exited with status 125 before it was ready")
	diagnosed(t, r.Name, "legacy-device", "-global virtio-mmio.force-legacy=false")
}

// Nobody answers DHCP: the boot goes on without an address and says so, lo and
// what needs no network still work, and the end is not a proof.
func TestNoLease(t *testing.T) {
	r := boot(t, nil, "--nic", "wire", "--net", "dhcp", "--no-lease")
	r.refused(t,
		"netstackd: virt0 dhcp no answer after ",
		"going on without an address",
		"fetchd: get http://127.0.0.1:8080/hello ok",
		"SELFTEST: net lo ping ok",
		"SELFTEST: net udp echo FAILED")
	diagnosed(t, r.Name, "no-dhcp-reply", "netstackd: virt0 dhcp no answer after", "the wire carried 4 DISCOVER from the guest", "--net stub")
}

func TestCommandLine(t *testing.T) {
	for _, tc := range []struct{ append, says string }{
		{"nexus.manifest=/etc/nexus/none.json", "nexus-init: open /etc/nexus/none.json: no such file or directory"},
		{"nexus.net=carrier-pigeon", "nexus-init: kernel command line: "},
		{"nexus.addr=10.0.2.300/24", "nexus-init: kernel command line: "},
	} {
		t.Run(tc.append, func(t *testing.T) {
			r := boot(t, nil, "--nic", "wire", "--append", tc.append)
			r.refused(t, tc.says, "nexus-init: boot failed")
			diagnosed(t, r.Name, "manifest", tc.says, "docs/architecture/09-nexus-init.md")
		})
	}
}

// tree compiles the device tree with text old replaced by new.
func tree(t *testing.T, old, new string) string {
	t.Helper()
	source, err := os.ReadFile("pkg/dts/virt-nexus.dts")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(source), old) {
		t.Fatalf("the device tree has no %q", old)
	}
	dts := file(t, "tree.dts", []byte(strings.Replace(string(source), old, new, 1)))
	dtb := filepath.Join(t.TempDir(), "tree.dtb")
	if out, err := exec.Command(nx, "dtb", dts, dtb).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dtb
}

// card is the network card's node up to its status.
const card = `		virtio_mmio@10002000 {
			compatible = "virtio,mmio";
			reg = <0x0 0x10002000 0x0 0x1000>;
			interrupts = <2>;
			interrupt-parent = <&plic>;
			status = "okay";
		};
`

func TestWrongTree(t *testing.T) {
	for _, tc := range []struct {
		name, old, new string
		says           []string
	}{
		{"no card", card, "", []string{"nexus-init: ", "virtio_mmio@10002000", "neuron: power off, init exited with status 1"}},
		{"card disabled", card, strings.Replace(card, "okay", "disabled", 1),
			[]string{"nexus-init: ", "virtio_mmio@10002000", "neuron: power off, init exited with status 1"}},
		{"card elsewhere", card, strings.ReplaceAll(card, "10002000", "10009000"),
			[]string{"nexus-init: ", "virtio_mmio@10002000", "neuron: power off, init exited with status 1"}},
		{"window of another slot", card, strings.Replace(card, "<0x0 0x10002000", "<0x0 0x10003000", 1),
			[]string{"window of virtio_mmio@10002000 is at 0x10003000", "neuron: power off, init exited with status 1"}},
		{"interrupt of another slot", card, strings.Replace(card, "<2>", "<3>", 1),
			[]string{"irq=3", "SELFTEST: net udp echo FAILED", "neuron: power off, init exited with status 1"}},
		{"card without a window", card, strings.Replace(card, "reg = <0x0 0x10002000 0x0 0x1000>;", "", 1),
			[]string{"neuron: power off, init exited with status 1"}},
		{"card without an interrupt", card, strings.Replace(card, "interrupts = <2>;", "", 1),
			[]string{"neuron: power off, init exited with status 1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := boot(t, nil, "--nic", "wire", "--dtb", tree(t, tc.old, tc.new))
			r.refused(t, tc.says...)
			diagnosed(t, r.Name, "wrong-tree", "build/virt-nexus.dtb", "with the slot's own address and interrupt")
		})
	}
}

// Less memory than the services need: some program is told so or ended, the
// kernel goes on and the boot fails with a word.
func TestLittleMemory(t *testing.T) {
	dtb := tree(t, "0x0 0x8000000>;	/* 128 MiB */", "0x0 0x2e00000>;")
	r := boot(t, nil, "--nic", "wire", "--dtb", dtb)
	r.refused(t, "neuron: ", "neuron: device tree: the boot archive lies outside memory")
	diagnosed(t, r.Name, "kernel-refuses", "the boot archive lies outside memory")
}
