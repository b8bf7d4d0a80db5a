package manifest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"nexus/source/init/nexus-init/netmode"
)

func TestParse(t *testing.T) {
	got, err := Parse([]byte(`{
		"net": "static", "address": "10.0.2.15/24", "gateway": "10.0.2.2", "stay": true,
		"services": [
			{"name": "virtionetd", "program": "/bin/virtionetd", "ready": "notify", "timeoutMs": 5000,
			 "descriptors": [
				{"name": "window", "window": "virtio_mmio@10002000"},
				{"name": "irq", "irq": "virtio_mmio@10002000"},
				{"name": "rings", "dma": 65536},
				{"name": "net.stack", "serve": "nic"},
				{"name": "sockets", "sockets": "inet"}]},
			{"name": "tool", "program": "/bin/tool", "arguments": ["-v", "x y"],
			 "environment": ["GOGC=off", "EMPTY="], "settings": ["net"], "namespace": "inet",
			 "ready": "exit", "timeoutMs": 1,
			 "descriptors": [{"connect": "nic", "name": "nic"}]}
		]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Manifest{
		Net:  netmode.Setting{Mode: "static", Address: "10.0.2.15/24", Gateway: "10.0.2.2"},
		Stay: true,
		Services: []Service{{
			Name: "virtionetd", Program: "/bin/virtionetd", Ready: Notified, Timeout: 5 * time.Second,
			Descriptors: []Descriptor{
				{Name: "window", Kind: Window, Object: "virtio_mmio@10002000", line: 6},
				{Name: "irq", Kind: IRQ, Object: "virtio_mmio@10002000", line: 7},
				{Name: "rings", Kind: DMA, Size: 65536, line: 8},
				{Name: "net.stack", Kind: Serve, Object: "nic", line: 9},
				{Name: "sockets", Kind: Sockets, Object: "inet", line: 10},
			},
			line: 4,
		}, {
			Name: "tool", Program: "/bin/tool", Arguments: []string{"-v", "x y"},
			Environment: []Variable{{"GOGC", "off"}, {"EMPTY", ""}}, Settings: []string{"net"},
			Namespace: "inet", Ready: Exited, Timeout: time.Millisecond,
			Descriptors: []Descriptor{{Name: "nic", Kind: Connect, Object: "nic", line: 14}},
			line:        11,
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// rest completes a service that begins with its name.
const rest = `"program": "/p", "ready": "notify", "timeoutMs": 1`

func TestParseRefuses(t *testing.T) {
	// one makes a manifest of one service with those fields in line 2.
	one := func(fields string) string {
		return "{\"services\": [\n{\"name\": \"a\", " + rest + fields + "}]}"
	}
	// rights makes one of a service with that descriptor in line 3.
	rights := func(descriptor string) string {
		return one(", \"descriptors\": [\n" + descriptor + "]")
	}
	// two makes one of the services a in line 2 and b in line 3.
	two := func(a, b string) string {
		return "{\"services\": [\n{\"name\": \"a\", " + rest + a + "},\n{\"name\": \"b\", " + rest + b + "}]}"
	}
	tests := []struct{ name, text, says string }{
		{"empty", "", "line 1: ends in the middle"},
		{"truncated", `{"services": [{"name": "a"`, "ends in the middle"},
		{"not JSON", "{\n\n\"services\": [}", "line 3: not JSON"},
		{"list", "[]", `want "{", got [`},
		{"no services", "{}", "no services"},
		{"null services", `{"services": null}`, `services: want "["`},
		{"unknown field", "{\n\"servcies\": []}", `line 2: unknown field "servcies"`},
		{"field twice", "{\"stay\": true,\n\"stay\": false}", `line 2: field "stay" is there twice`},
		{"trailing", one("") + "{}", "something follows"},
		{"stay as text", `{"stay": "yes"}`, "stay: want true or false"},
		{"net mode", `{"net": "dhpc"}`, `net: want stub, static or dhcp, got "dhpc"`},
		{"static without address", strings.Replace(one(""), "{", `{"net": "static", `, 1), "static needs an address"},
		{"address without static", strings.Replace(one(""), "{", `{"address": "10.0.2.15/24", `, 1), "need the mode static"},
		{"bad address", `{"address": "10.0.2.15"}`, "address: want an IPv4 address"},
		{"bad gateway", `{"gateway": "gw"}`, "gateway: want an IPv4 address"},
		{"too many services", `{"services": [` + strings.Repeat(`{"name": "a", `+rest+`},`, 33) + "]}", "services: more than 32"},

		{"no name", `{"services": [{` + rest + `}]}`, "services[0]: has no name"},
		{"no program", `{"services": [{"name": "a"}]}`, "a has no program"},
		{"no time-out", `{"services": [{"name": "a", "program": "/p", "ready": "exit"}]}`, "a has no timeoutMs"},
		{"no readiness", `{"services": [{"name": "a", "program": "/p", "timeoutMs": 1}]}`, "a has no ready"},
		{"unknown readiness", `{"services": [{"ready": "soon"}]}`, "services[0].ready: want notify or exit"},
		{"time-out 0", `{"services": [{"timeoutMs": 0}]}`, "timeoutMs: want a whole number from 1 to 600000"},
		{"time-out 1.5", `{"services": [{"timeoutMs": 1.5}]}`, "want a whole number"},
		{"time-out huge", `{"services": [{"timeoutMs": 1e99}]}`, "want a whole number"},
		{"time-out text", `{"services": [{"timeoutMs": "5"}]}`, "want a whole number"},
		{"service field", `{"services": [{"prog": "/p"}]}`, `services[0]: unknown field "prog"`},
		{"upper-case name", `{"services": [{"name": "A"}]}`, "services[0].name: want a name"},
		{"name with a dot", `{"services": [{"name": "a.b"}]}`, "want a name"},
		{"name of the system", `{"services": [{"name": "neuron"}]}`, "want a name"},
		{"relative program", `{"services": [{"program": "bin/x"}]}`, "want an absolute path"},
		{"program with ..", `{"services": [{"program": "/bin/../x"}]}`, "want an absolute path"},
		{"argument with a newline", one(`, "arguments": ["a\nb"]`), "arguments[0]: want an argument"},
		{"argument with NUL", one(`, "arguments": ["a\u0000b"]`), "want an argument"},
		{"variable", one(`, "environment": ["GOGC"]`), "want NAME=VALUE"},
		{"reserved variable", one(`, "environment": ["NEXUS_SEED=1"]`), "NEXUS_SEED is nexus-init's own"},
		{"variable twice", one(`, "environment": ["A=1", "A=2"]`), "A is there twice"},
		{"setting", one(`, "settings": ["gps"]`), "settings[0]: want net"},
		{"two services of one name", strings.Replace(two("", ""), `"b"`, `"a"`, 1),
			"line 3: a second service named a, the first is in line 2"},

		{"no descriptor name", rights(`{"dma": 4096}`), "line 3: services[0].descriptors[0]: has no name"},
		{"descriptor name", rights(`{"name": "a:b", "dma": 4096}`), "want a name"},
		{"notify", rights(`{"name": "notify", "dma": 4096}`), "notify is given to every service"},
		{"no kind", rights(`{"name": "x"}`), "x: want exactly one of window, irq, dma"},
		{"two kinds", rights(`{"name": "x", "dma": 4096, "serve": "y"}`), "want exactly one of"},
		{"unknown kind", rights(`{"name": "x", "file": "/etc"}`), `unknown field "file"`},
		{"descriptor twice", rights("{\"name\": \"x\", \"dma\": 4096},\n{\"name\": \"x\", \"dma\": 4096}"), "line 4: a: a second descriptor named x"},
		{"part of a page", rights(`{"name": "x", "dma": 4097}`), "4097 bytes are not a multiple of 4096"},
		{"DMA of 0", rights(`{"name": "x", "dma": 0}`), "want a whole number from 4096"},
		{"DMA huge", rights(`{"name": "x", "dma": 99999999}`), "to 16777216"},
		{"node with a slash", rights(`{"name": "x", "window": "../irq"}`), "want the name of a device-tree node"},
		{"node ..", rights(`{"name": "x", "window": ".."}`), "want the name of a device-tree node"},

		{"nobody serves", rights(`{"name": "x", "connect": "c"}`), "line 3: a: nobody serves channel c"},
		{"nobody connects", rights(`{"name": "x", "serve": "c"}`), "line 3: a: nobody connects to channel c"},
		{"no such namespace", one(`, "namespace": "inet"`), "line 2: a: nobody serves namespace inet"},
		{"two servers", two(`, "descriptors": [{"name": "x", "serve": "c"}]`, `, "descriptors": [{"name": "x", "serve": "c"}]`),
			"line 3: b: serve c is already a's, in line 2"},
		{"two clients", rights(`{"name": "x", "connect": "c"}, {"name": "y", "connect": "c"}`), "connect c is already a's"},
		{"two owners of an interrupt", two(`, "descriptors": [{"name": "x", "irq": "n"}]`, `, "descriptors": [{"name": "x", "irq": "n"}]`),
			"irq n is already a's"},
		{"wrong order", two(`, "descriptors": [{"name": "x", "connect": "c"}]`, `, "descriptors": [{"name": "x", "serve": "c"}]`),
			"line 2: a needs channel c of b, which starts later: move b in front of a"},
		{"namespace later", two(`, "namespace": "n"`, `, "descriptors": [{"name": "s", "sockets": "n"}]`),
			"line 2: a needs namespace n of b, which starts later"},
		{"circle", two(`, "descriptors": [{"name": "x", "connect": "c"}, {"name": "y", "serve": "d"}]`,
			`, "descriptors": [{"name": "x", "serve": "c"}, {"name": "y", "connect": "d"}]`),
			"line 2: services wait for each other: a -> b -> a"},
		{"inside its own namespace", one(`, "namespace": "n", "descriptors": [{"name": "s", "sockets": "n"}]`),
			"services wait for each other: a -> a"},
		{"too long", strings.Repeat(" ", MaxSize+1), "longer than 65536 bytes"},
	}
	for _, tt := range tests {
		m, err := Parse([]byte(tt.text))
		if m != nil || !errors.Is(err, ErrManifest) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q in it", tt.name, err, tt.says)
		}
	}
}

// The manifests that are installed are good, and every service of the default
// one has the descriptors that the contract gives it.
func TestInstalledManifests(t *testing.T) {
	contract := map[string]string{
		"virtionetd":      "window irq rings frames net.netstackd net.control0 net.control1 net.control2",
		"netstackd":       "virtionetd sockets net.selftest net.nx net.control0 net.control1 net.control2 net.control3",
		"packagefsd":      "pkg.fetchd",
		"echod":           "",
		"fetchd":          "packages fetch.selftest fetch.control0 fetch.control1",
		"selftest-client": "netstackd fetchd",
		"selftest-rights": "",
		"nx":              "netstackd",
		"controld": "window irq memory netstackd.0 netstackd.1 netstackd.2 netstackd.3 " +
			"virtionetd.0 virtionetd.1 virtionetd.2 fetchd.0 fetchd.1",
	}
	for _, file := range []string{"default.json", "bench.json"} {
		data, err := os.ReadFile(filepath.Join("../../../../pkg/manifests", file))
		if err != nil {
			t.Fatal(err)
		}
		m, err := Parse(data)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var order []string
		for _, s := range m.Services {
			order = append(order, s.Name)
			var names []string
			for _, d := range s.Descriptors {
				names = append(names, d.Name)
			}
			if got := strings.Join(names, " "); file == "default.json" && got != contract[s.Name] {
				t.Errorf("%s has %q, want %q", s.Name, got, contract[s.Name])
			}
		}
		want := map[string]string{
			"default.json": "virtionetd netstackd packagefsd echod fetchd selftest-client selftest-rights nx controld",
			"bench.json":   "virtionetd netstackd echod benchd",
		}
		if got := strings.Join(order, " "); got != want[file] {
			t.Errorf("%s starts %s, want %s", file, got, want[file])
		}
	}
}

// Whatever is accepted can be started: in order, with every end of every
// channel, and within the bounds.
func FuzzParse(f *testing.F) {
	for _, file := range []string{"default.json", "bench.json"} {
		data, err := os.ReadFile(filepath.Join("../../../../pkg/manifests", file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add(`{"services": [{"name": "a", ` + rest + `, "namespace": "n", "descriptors": [{"name": "s", "sockets": "n"}]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse([]byte(text))
		if err != nil {
			if !errors.Is(err, ErrManifest) {
				t.Errorf("error of another kind: %v", err)
			}
			return
		}
		served := make(map[string]bool)
		for _, s := range m.Services {
			if s.Timeout <= 0 || s.Timeout > MaxTimeout || len(s.Descriptors) > MaxDescriptors {
				t.Errorf("%s: time-out %v, %d descriptors", s.Name, s.Timeout, len(s.Descriptors))
			}
			if s.Namespace != "" && !served["sockets "+s.Namespace] {
				t.Errorf("%s is in %s before anybody serves it", s.Name, s.Namespace)
			}
			for _, d := range s.Descriptors {
				if d.Kind == Connect && !served["serve "+d.Object] {
					t.Errorf("%s connects to %s before anybody serves it", s.Name, d.Object)
				}
			}
			for _, d := range s.Descriptors {
				served[fmt.Sprint(d.Kind, " ", d.Object)] = true
			}
		}
	})
}
