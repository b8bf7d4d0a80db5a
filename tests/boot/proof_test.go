package boot

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestProven(t *testing.T) {
	for _, nic := range nics(t) {
		for _, args := range []string{
			"--net stub",
			"--net static",
			"--net dhcp",
			"--profile default",
			"--noise",
		} {
			t.Run(nic+" "+args, func(t *testing.T) {
				boot(t, nil, append(strings.Fields(args), "--nic", nic)...).proven(t)
			})
		}
	}
}

// QEMU's own user network: a DHCP server, an ARP and a host that nobody here wrote.
func TestUserNetwork(t *testing.T) {
	if userError != nil {
		t.Skipf("needs a private network namespace: %v", userError)
	}
	for _, net := range []string{"stub", "static", "dhcp"} {
		t.Run(net, func(t *testing.T) {
			pcap := filepath.Join(t.TempDir(), "boot.pcap")
			boot(t, nil, "--nic", "user", "--net", net, "--pcap", pcap).proven(t)
			data, err := os.ReadFile(pcap)
			if err != nil {
				t.Fatal(err)
			}
			// libslirp's MAC says who spoke for the host.
			if qemu := []byte{0x52, 0x55, 10, 0, 2, 2}; !bytes.Contains(data, qemu) {
				t.Errorf("no frame of %x in the capture", qemu)
			}
		})
	}
}

// Two boots that count instructions say the same, byte for byte.
func TestDeterministic(t *testing.T) {
	out, err := exec.Command(nx, "same", "--boots", "2").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// A lease from a DHCP server that nobody here wrote.
func TestDnsmasq(t *testing.T) {
	if tapError != nil {
		t.Skipf("needs a TAP: %v", tapError)
	}
	dnsmasq, err := exec.LookPath("dnsmasq")
	if err != nil {
		if dnsmasq = "/usr/sbin/dnsmasq"; !exists(dnsmasq) {
			t.Fatal("no dnsmasq: scripts/setup.sh installs it")
		}
	}
	// dnsmasq stays in the foreground, and ends with the namespace's command.
	serve := []string{nx, "tap", "--", "bash", "-c",
		`"$0" --keep-in-foreground --conf-file=/dev/null --port=0 --interface=tap0 --bind-interfaces ` +
			`--dhcp-range=10.0.2.15,10.0.2.15,1h --dhcp-option=3,10.0.2.2 --dhcp-option=6,10.0.2.3 --no-ping ` +
			`--dhcp-authoritative --leasefile-ro --user= --pid-file= --log-facility=- 2>/dev/null & ` +
			`server=$!; "$@"; status=$?; kill $server; wait $server; exit $status`, dnsmasq}
	boot(t, serve, "--nic", "tap", "--here", "--net", "dhcp", "--no-lease").proven(t)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
