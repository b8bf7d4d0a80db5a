package boot

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"nexus/tools/mkarchive/newc"
)

func TestArchiveFiles(t *testing.T) {
	var b bytes.Buffer
	err := newc.Write(&b, []newc.File{
		{Path: "init", Mode: 0o755, Data: make([]byte, 5000)},
		{Path: "pkg/fixtures/hello.txt", Mode: 0o644, Data: []byte("hello")},
		{Path: "pkg/empty", Mode: 0o644},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "archive")
	write := func(data []byte) {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(b.Bytes())
	files, err := archiveFiles(path)
	want := map[string]int64{"init": 5000, "pkg/fixtures/hello.txt": 5, "pkg/empty": 0}
	if err != nil || !maps.Equal(files, want) {
		t.Errorf("got %v, %v", files, err)
	}

	// Of an archive that is cut the first files are listed; the guest refuses it.
	write(bytes.Repeat([]byte("noise"), 1000))
	if _, err := archiveFiles(path); err == nil {
		t.Error("noise is an archive")
	}
	if _, err := archiveFiles("/nowhere"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestCommandLine(t *testing.T) {
	for want, o := range map[string]Options{
		"nexus.profile=deterministic nexus.net=stub":                                                   {Profile: "deterministic", Net: NetStub},
		"nexus.profile=default nexus.net=static nexus.addr=10.0.2.15/24 nexus.gw=10.0.2.2":             {Profile: "default", Net: NetStatic},
		"nexus.profile=default nexus.net=dhcp nexus.stay=1 nexus.manifest=/etc/nexus/x.json something": {Profile: "default", Net: NetDHCP, Stay: true, Append: []string{"nexus.manifest=/etc/nexus/x.json", "something"}},
	} {
		if got := o.commandLine(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	good := Options{NIC: NICWire, Net: NetStub, Profile: "deterministic", Timeout: time.Second, SMP: 1}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for i, spoil := range []func(*Options){
		func(o *Options) { o.NIC = "" },
		func(o *Options) { o.Net = "user" },
		func(o *Options) { o.Profile = "fast" },
		func(o *Options) { o.Timeout = -1 },
		func(o *Options) { o.Icount, o.Profile = true, "default" },
		func(o *Options) { o.Memory = 63 },
		func(o *Options) { o.Memory = 4097 },
		func(o *Options) { o.Memory = -128 },
		func(o *Options) { o.SMP = 0 },
		func(o *Options) { o.SMP = 9 },
		func(o *Options) { o.Devices = []string{"virtio-rng-device", ""} },
	} {
		o := good
		spoil(&o)
		if err := o.Check(); !errors.Is(err, ErrOptions) {
			t.Errorf("%d: got %v", i, err)
		}
	}
}

// The report's mode has every name that the contract may ask for.
func TestMode(t *testing.T) {
	mode := (&Report{NIC: "tap", Net: "stub", Profile: "default", Stay: true}).mode()
	names := slices.Sorted(maps.Keys(mode))
	if !slices.Equal(names, []string{"net", "nic", "profile", "stay"}) || mode["stay"] != "yes" {
		t.Errorf("got %v", mode)
	}
}
