package bootline

import (
	"errors"
	"strings"
	"testing"

	"nexus/source/init/nexus-init/netmode"
)

func TestParse(t *testing.T) {
	tests := []struct {
		line string
		want Options
	}{
		{"", Options{Manifest: DefaultManifest}},
		{"console=ttyS0 quiet nexusx=1", Options{Manifest: DefaultManifest}},
		{"nexus.profile=deterministic nexus.stay=1",
			Options{Deterministic: true, Stay: true, Manifest: DefaultManifest}},
		{" nexus.net=dhcp\tnexus.manifest=/etc/nexus/bench.json nexus.profile=default nexus.stay=0\n",
			Options{Net: netmode.Setting{Mode: "dhcp"}, Manifest: "/etc/nexus/bench.json"}},
		{"nexus.net=static nexus.addr=10.9.0.1/16 nexus.gw=10.9.0.254",
			Options{Net: netmode.Setting{Mode: "static", Address: "10.9.0.1/16", Gateway: "10.9.0.254"}, Manifest: DefaultManifest}},
	}
	for _, tt := range tests {
		got, err := Parse(tt.line)
		if err != nil || got != tt.want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", tt.line, got, err, tt.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ line, says string }{
		{"nexus.nett=dhcp", `"nexus.nett=dhcp": unknown; known are`},
		{"nexus.net=dhpc", "want stub, static or dhcp"},
		{"nexus.profile", "want deterministic or default"},
		{"nexus.stay=yes", "want 1 or 0"},
		{"nexus.net=stub nexus.net=dhcp", "nexus.net is there twice"},
		{"nexus.net=static", "static needs an address"},
		{"nexus.addr=10.0.2.15/24", "need the mode static"},
		{"nexus.net=dhcp nexus.gw=10.0.2.2", "need the mode static"},
		{"nexus.net=static nexus.addr=10.0.2.15", "prefix length"},
		{"nexus.net=static nexus.addr=fe80::1/64", "IPv4"},
		{"nexus.net=static nexus.addr=10.0.2.15/24 nexus.gw=10.0.2", "IPv4"},
		{"nexus.manifest=etc/x.json", "absolute path"},
		{"nexus.manifest=/etc/../x.json", "absolute path"},
		{strings.Repeat("x", MaxLine+1), "longer than 4096 bytes"},
	}
	for _, tt := range tests {
		_, err := Parse(tt.line)
		if !errors.Is(err, ErrOption) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("Parse(%q): %v, want %q in it", tt.line, err, tt.says)
		}
	}
}

// What is accepted is within its bounds, whatever the line.
func FuzzParse(f *testing.F) {
	f.Add("nexus.net=static nexus.addr=10.0.2.15/24 nexus.gw=10.0.2.2")
	f.Add("nexus.manifest=/a nexus.stay=1 nexus.profile=deterministic")
	f.Fuzz(func(t *testing.T, line string) {
		o, err := Parse(line)
		if err != nil {
			if !errors.Is(err, ErrOption) {
				t.Errorf("%q: error of another kind: %v", line, err)
			}
			return
		}
		if o.Manifest == "" || o.Manifest[0] != '/' || (o.Net.Address != "") != (o.Net.Mode == "static") {
			t.Errorf("%q: accepted %+v", line, o)
		}
	})
}
