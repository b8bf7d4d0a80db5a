package contract

import "testing"

// file is the contract of the repository.
const file = "../../../../tests/contract/markers.json"

func TestRepositoryContract(t *testing.T) {
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	// The specification's proof, word by word, must be among the markers of
	// every ordinary boot, in this order.
	want := []string{
		"virtionetd: ready",
		"virtionetd: mmio=0x10002000 irq=2 mac=02:00:00:00:00:01 mtu=1500",
		"netstackd: ready",
		"netstackd: lo up",
		"netstackd: virt0 dhcp addr=10.0.2.15",
		"echod: ready",
		"echod: listen udp/7",
		"fetchd: ready",
		"fetchd: get http://127.0.0.1:8080/hello ok bytes=17",
		"SELFTEST: net lo ping ok",
		"SELFTEST: net fetch echo ok",
		"SELFTEST: net udp echo ok",
	}
	track := c.Track(Mode{"net": "stub", "nic": "wire", "profile": "deterministic", "stay": "no"})
	next := 0
	for _, m := range track.expected {
		if next < len(want) && m.line.MatchString(want[next]) {
			next++
		}
	}
	if next != len(want) {
		t.Errorf("the contract lacks %q, or has it out of order", want[next])
	}
}
