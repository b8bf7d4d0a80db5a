package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestChooseRows(t *testing.T) {
	all := rowNames()
	for _, tc := range []struct {
		only string
		want []string
	}{
		{"", all},
		{"wire", []string{"wire/stub", "wire/static", "wire/dhcp"}},
		{"same,tap/dhcp", []string{"tap/dhcp", "tap/dhcp/dnsmasq", "same"}}, // in the table's order
		{"tap/dhcp/dnsmasq,tap/dhcp/dnsmasq", []string{"tap/dhcp/dnsmasq"}},
		{"tap/d", nil},
		{"wire,", nil},
		{"/", nil},
	} {
		var only []string
		if tc.only != "" {
			only = strings.Split(tc.only, ",")
		}
		rows, err := chooseRows(only)
		var got []string
		for _, r := range rows {
			got = append(got, r.Name)
		}
		if !slices.Equal(got, tc.want) || (err == nil) != (tc.want != nil) {
			t.Errorf("%q: got %q, %v", tc.only, got, err)
		}
	}
}

func TestPostflight(t *testing.T) {
	for _, tc := range []struct {
		scenario, only string
		more           []string
		status         int
		says           []string
	}{
		{"good", "wire/stub,same", nil, exitDone, []string{
			"postflight 1/2 wire/stub … proven, ", fmt.Sprintf("%d/%d", goodLines, goodLines), "the same twice", "nexus: bring-up v1.2 holds: 2 of 2 rows\n"}},
		{"moody", "same", nil, exitUnproven, []string{"NOT the same", "boot 2, line 3:", "does NOT hold: 0 of 1 rows do"}},
		// The fake guest says what belongs to stub.
		{"good", "wire", nil, exitUnproven, []string{"nexus: wire/static: NOT proven: ", "does NOT hold: 1 of 3 rows do"}},
		{"failed", "wire/stub", nil, exitUnproven, []string{fmt.Sprintf("0/%d", goodLines), "QEMU ended with status 1"}},
		{"good", "wire", []string{"--qemu", "no-such-qemu"}, exitFailed, []string{"wire/dhcp: could not be run: no-such-qemu is not installed"}},
		{"good", "wired", nil, exitFailed, []string{`nx: --only "wired" is no row`}},
	} {
		t.Run(tc.scenario+" "+tc.only+strings.Join(tc.more, " "), func(t *testing.T) {
			b := newBench(t, tc.scenario)
			args := append([]string{"postflight", "--only", tc.only, "--contract", "../../../../tests/contract/markers.json", "--"}, b.flags()...)
			status, out := run(t, b.nx(append(args, tc.more...)...))
			if status != tc.status {
				t.Errorf("status %d, want %d", status, tc.status)
			}
			for _, s := range tc.says {
				if !strings.Contains(out, s) {
					t.Errorf("does not say %q", s)
				}
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

// A server that ends before it serves is told with its last words.
func TestDnsmasqThatFails(t *testing.T) {
	b := newBench(t, "good")
	b.script(t, "dnsmasq", "echo first >&2; echo address already in use >&2; exit 2")
	for path, says := range map[string]string{
		b.path("dnsmasq"): "exit status 2: address already in use",
		b.path("nowhere"): "no such file or directory",
	} {
		if _, err := startDnsmasq(path); !errors.Is(err, errDnsmasq) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
	b.script(t, "dnsmasq", "echo dnsmasq-dhcp: DHCP, IP range 10.0.2.15 >&2; exec sleep 1000")
	stop, err := startDnsmasq(b.path("dnsmasq"))
	if err != nil {
		t.Fatal(err)
	}
	stop()
}
