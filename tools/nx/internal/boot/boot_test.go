package boot

import (
	"bytes"
	"cmp"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"nexus/source/libs/fdt"
	"nexus/tools/mkarchive/newc"
	"nexus/tools/nx/internal/machine"
	"nexus/tools/nx/internal/rundir"
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

// Each boot of the default profile has a tree of its own, with a seed that no other has; it is for its owner's eyes and is gone
// once it was read. The deterministic profile boots with the tree as it is.
func TestOwnTree(t *testing.T) {
	source, blob := "../../../../pkg/dts/virt-nexus.dts", filepath.Join(t.TempDir(), "dtb")
	if err := machine.CompileTree(t.Context(), "dtc", source, blob); err != nil {
		t.Fatal(err)
	}
	given, err := os.ReadFile(blob)
	if err != nil {
		t.Fatal(err)
	}
	root, err := rundir.Make(filepath.Join(t.TempDir(), "run"))
	if err != nil {
		t.Fatal(err)
	}
	seeds := map[string]bool{}
	for i, o := range []Options{
		{Profile: machine.Deterministic}, {Profile: machine.Default}, {Profile: machine.Default, Memory: 256}, {Profile: machine.Deterministic, Memory: 256},
	} {
		if o.Guest, err = root.Create("", rundir.State{}); err != nil {
			t.Fatal(err)
		}
		defer o.Guest.Close(true)
		o.DTB = blob
		if err := o.ownTree(); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(o.DTB)
		if err != nil {
			t.Fatal(err)
		}
		var tree fdt.Tree
		if code := tree.Open(data); code != fdt.OK {
			t.Fatal(code)
		}
		if m, _ := tree.Memory(0); m.Size != uint64(cmp.Or(o.Memory, 128))<<20 {
			t.Errorf("%d: %d bytes of memory", i, m.Size)
		}
		seed := tree.RNGSeed()
		if o.Profile == machine.Deterministic {
			if seed != nil || o.Memory == 0 && o.DTB != blob {
				t.Errorf("%d: got tree %s with seed %x", i, o.DTB, seed)
			}
			continue
		}
		if len(seed) != machine.SeedSize || seeds[string(seed)] {
			t.Errorf("%d: got seed %x", i, seed)
		}
		seeds[string(seed)] = true
		if info, err := os.Stat(o.DTB); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%d: %v, %v", i, info.Mode(), err)
		}
		r := &run{opts: o}
		r.forgetSeed()
		r.forgetSeed()
		if _, err := os.Stat(o.DTB); !errors.Is(err, os.ErrNotExist) || r.report.Warnings != nil {
			t.Errorf("%d: afterwards %v, %q", i, err, r.report.Warnings)
		}
	}
	if now, err := os.ReadFile(blob); err != nil || !bytes.Equal(now, given) {
		t.Errorf("the tree of all boots was changed: %v", err)
	}
}
