package machine

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nexus/source/libs/fdt"
)

// compiled compiles the project's device tree with old replaced by new.
func compiled(t testing.TB, old, new string) []byte {
	t.Helper()
	source, err := os.ReadFile("../../../../pkg/dts/virt-nexus.dts")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(source), old) {
		t.Fatalf("the device tree has no %q", old)
	}
	dir := t.TempDir()
	dts, dtb := filepath.Join(dir, "dts"), filepath.Join(dir, "dtb")
	if err := os.WriteFile(dts, []byte(strings.Replace(string(source), old, new, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("dtc"); err != nil {
		t.Fatal("no dtc: scripts/setup.sh installs it")
	}
	if err := CompileTree(t.Context(), "dtc", dts, dtb); err != nil {
		t.Fatal(err)
	}
	blob, err := os.ReadFile(dtb)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

const memoryReg = "reg = <0x0 0x80000000 0x0 0x8000000>;"

func TestSetMemory(t *testing.T) {
	blob := compiled(t, memoryReg, memoryReg)
	before := bytes.Clone(blob)
	for mib, want := range map[int]uint64{64: 0x400_0000, 128: 0x800_0000, 4096: 0x1_0000_0000} {
		patched, err := SetMemory(blob, mib)
		if err != nil {
			t.Fatal(err)
		}
		var tree fdt.Tree
		if code := tree.Open(patched); code != fdt.OK {
			t.Fatalf("%d MiB: %v", mib, code)
		}
		if got, _ := tree.Memory(0); got != (fdt.Range{Address: 0x8000_0000, Size: want}) {
			t.Errorf("%d MiB: got %+v", mib, got)
		}
		if mib == DefaultMemory && !bytes.Equal(patched, blob) {
			t.Error("the size it has changes the tree")
		}
	}
	if !bytes.Equal(blob, before) {
		t.Error("the tree given was changed")
	}
}

func TestSetMemoryRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		blob []byte
		mib  int
		says string
	}{
		"no tree":     {[]byte("tree"), 128, "truncated"},
		"noise":       {bytes.Repeat([]byte("noise"), 100), 128, "bad magic"},
		"no memory":   {compiled(t, `device_type = "memory";`, ""), 128, "not one range"},
		"two ranges":  {compiled(t, memoryReg, "reg = <0 0x80000000 0 0x8000000>, <1 0 0 0x8000000>;"), 128, "not one range"},
		"ragged":      {compiled(t, memoryReg, "reg = <0 0x80000000 0 0x8000000 0>;"), 128, "two cells each"},
		"no size":     {compiled(t, memoryReg, memoryReg), 0, "0 MiB"},
		"a cut in it": {compiled(t, memoryReg, memoryReg)[:1000], 128, "truncated"},
	} {
		if _, err := SetMemory(tc.blob, tc.mib); !errors.Is(err, ErrTree) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzSetMemory(f *testing.F) {
	f.Add(compiled(f, memoryReg, memoryReg), 256)
	f.Add([]byte("tree"), 1)
	f.Fuzz(func(t *testing.T, blob []byte, mib int) {
		patched, err := SetMemory(blob, mib)
		if err != nil {
			return
		}
		var tree fdt.Tree
		if code := tree.Open(patched); code != fdt.OK {
			t.Fatalf("a broken tree: %v", code)
		}
		if m, _ := tree.Memory(0); m.Size != uint64(mib)<<20 {
			t.Errorf("%d MiB became %d bytes", mib, m.Size)
		}
	})
}

// The tree that dtc prints of a seeded one differs from the original in the seed alone.
func TestSetSeed(t *testing.T) {
	const chosen = `stdout-path = "/soc/serial@10000000";`
	plain := compiled(t, chosen, chosen)
	seed := bytes.Repeat([]byte{0xa5, 1, 2, 3}, SeedSize/4)
	for name, blob := range map[string][]byte{
		"none before":      plain,
		"one before":       compiled(t, chosen, chosen+" rng-seed = [01 02 03];"),
		"one of that size": compiled(t, chosen, chosen+" rng-seed = <1 2 3 4 5 6 7 8>;"),
		"reserved memory":  compiled(t, "/dts-v1/;", "/dts-v1/; /memreserve/ 0x80000000 0x1000; /memreserve/ 0x90000000 0x1000;"),
		"an odd seed":      plain,
	} {
		seed := seed
		if name == "an odd seed" {
			seed = seed[:13]
		}
		before := bytes.Clone(blob)
		seeded, err := SetSeed(blob, seed)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(blob, before) {
			t.Errorf("%s: the tree given was changed", name)
		}
		if bytes.Count(seeded, seed) != 1 {
			t.Errorf("%s: the seed is there %d times", name, bytes.Count(seeded, seed))
		}
		var tree fdt.Tree
		if code := tree.Open(seeded); code != fdt.OK {
			t.Fatalf("%s: %v", name, code)
		}
		if got := tree.RNGSeed(); !bytes.Equal(got, seed) {
			t.Errorf("%s: got seed %x, want %x", name, got, seed)
		}
		tree.EraseRNGSeed()
		var old fdt.Tree
		old.Open(before)
		old.EraseRNGSeed()
		got, want := source(t, seeded), source(t, before)
		if got != want {
			t.Errorf("%s: but for the seed it became\n%s\nwant\n%s", name, got, want)
		}
	}
}

// source is what dtc reads out of a blob.
func source(t *testing.T, blob []byte) string {
	t.Helper()
	cmd := exec.Command("dtc", "-q", "-I", "dtb", "-O", "dts")
	cmd.Stdin = bytes.NewReader(blob)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestSetSeedRefuses(t *testing.T) {
	for says, blob := range map[string][]byte{
		"truncated":  []byte("tree"),
		"no /chosen": compiled(t, "chosen {", "selected {"),
	} {
		if _, err := SetSeed(blob, make([]byte, SeedSize)); !errors.Is(err, ErrTree) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

func FuzzSetSeed(f *testing.F) {
	f.Add(compiled(f, memoryReg, memoryReg), make([]byte, SeedSize))
	f.Add([]byte("tree"), []byte{1})
	f.Fuzz(func(t *testing.T, blob, seed []byte) {
		seeded, err := SetSeed(blob, seed)
		if err != nil {
			return
		}
		var tree fdt.Tree
		if code := tree.Open(seeded); code != fdt.OK && len(seeded) <= fdt.MaxSize {
			t.Fatalf("a broken tree: %v", code)
		}
		if got := tree.RNGSeed(); !bytes.Equal(got, seed) && len(seeded) <= fdt.MaxSize {
			t.Errorf("got seed %x, want %x", got, seed)
		}
	})
}
