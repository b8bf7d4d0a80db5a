package virtio_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"nexus/source/libs/virtio"
	"nexus/source/libs/virtio/dma"
	"nexus/source/libs/virtio/fake"
)

const memoryBase = dma.Addr(0x1_9000_0000) // above 4 GiB: both halves of an address count

func newNIC(t testing.TB) *fake.NIC {
	t.Helper()
	m, err := fake.NewMemory(memoryBase, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	nic := fake.NewNIC([6]byte{2, 0, 0, 0, 0, 1}, m)
	t.Cleanup(func() {
		for _, v := range nic.Violations() {
			t.Errorf("driver against the standard: %s", v)
		}
		m.Close()
	})
	return nic
}

func probe(t testing.TB, w virtio.Window) *virtio.Transport {
	t.Helper()
	tr, err := virtio.Probe(w, virtio.Net)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestProbeNamesWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(*fake.NIC)
		want error
		hint string
	}{
		{"nothing there", func(n *fake.NIC) { n.Magic = 0 }, virtio.ErrMagic, "device tree"},
		{"floating bus", func(n *fake.NIC) { n.Magic = 0xffffffff }, virtio.ErrMagic, "device tree"},
		{"legacy", func(n *fake.NIC) { n.Version = 1 }, virtio.ErrLegacy, "-global virtio-mmio.force-legacy=false"},
		{"future", func(n *fake.NIC) { n.Version = 3 }, virtio.ErrVersion, "version 2"},
		{"empty slot", func(n *fake.NIC) { n.ID = 0 }, virtio.ErrNoDevice, "bus=virtio-mmio-bus.1"},
		{"empty legacy slot", func(n *fake.NIC) { n.ID, n.Version = 0, 1 }, virtio.ErrNoDevice, "bus=virtio-mmio-bus.1"},
		{"a disk", func(n *fake.NIC) { n.ID = 2 }, virtio.ErrWrongDevice, "bus="},
	} {
		t.Run(tc.name, func(t *testing.T) {
			nic := newNIC(t)
			tc.set(nic)
			nic.Log()
			_, err := virtio.Probe(nic, virtio.Net)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.hint) {
				t.Errorf("error %v; want %v naming %q", err, tc.want, tc.hint)
			}
			for _, a := range nic.Accesses() {
				if a.Write {
					t.Errorf("probe wrote %#x to %#x", a.Value, a.Off)
				}
			}
		})
	}
}

// TestBringUpOrder holds the driver to 3.1.1 step by step.
func TestBringUpOrder(t *testing.T) {
	nic := newNIC(t)
	nic.ResetReads = 3
	tr := probe(t, nic)
	nic.Log()
	if err := tr.Begin(); err != nil {
		t.Fatal(err)
	}
	got, err := tr.Negotiate(fake.FeatureMAC)
	if err != nil {
		t.Fatal(err)
	}
	if want := virtio.Features(fake.FeatureMAC | fake.FeatureVersion1); got != want {
		t.Errorf("accepted %#x, want %#x", got, want)
	}
	if err := tr.SetupQueue(0, virtio.Rings{Size: 8, Descriptors: memoryBase, Avail: memoryBase + 128, Used: memoryBase + 192}); err != nil {
		t.Fatal(err)
	}
	if err := tr.Start(); err != nil {
		t.Fatal(err)
	}
	var status []uint32
	resetDone := false
	for _, a := range nic.Accesses() {
		if a.Off == 0x070 && a.Write {
			status = append(status, a.Value)
		}
		if a.Off == 0x070 && !a.Write && a.Value == 0 {
			resetDone = true
		}
		if a.Write && a.Value != 0 && !resetDone {
			t.Errorf("wrote %#x to %#x before the reset was done", a.Value, a.Off)
		}
	}
	if want := []uint32{0, 1, 3, 11, 15}; !slices.Equal(status, want) {
		t.Errorf("status went %v, want %v", status, want)
	}
}

func TestResetThatNeverEndsIsAnError(t *testing.T) {
	nic := newNIC(t)
	nic.ResetReads = 1 << 30
	tr := probe(t, nic)
	if err := tr.Begin(); !errors.Is(err, virtio.ErrReset) {
		t.Errorf("error %v, want %v", err, virtio.ErrReset)
	}
}

func TestNegotiationRefusals(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(*fake.NIC)
		want error
	}{
		{"no VERSION_1", func(n *fake.NIC) { n.Features &^= fake.FeatureVersion1 }, virtio.ErrNotModern},
		{"FEATURES_OK refused", func(n *fake.NIC) { n.RefuseFeatures = true }, virtio.ErrFeatures},
	} {
		t.Run(tc.name, func(t *testing.T) {
			nic := newNIC(t)
			tc.set(nic)
			tr := probe(t, nic)
			if err := tr.Begin(); err != nil {
				t.Fatal(err)
			}
			if _, err := tr.Negotiate(fake.FeatureMAC); !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			if tr.Status()&virtio.StatusFailed == 0 {
				t.Error("device was not told that the driver gave up")
			}
		})
	}
}

func TestFeaturesNotOfferedAreNotAccepted(t *testing.T) {
	nic := newNIC(t)
	nic.Features = fake.FeatureVersion1 | fake.FeatureStatus
	tr := probe(t, nic)
	if err := tr.Begin(); err != nil {
		t.Fatal(err)
	}
	got, err := tr.Negotiate(fake.FeatureMAC | fake.FeatureStatus)
	if err != nil {
		t.Fatal(err)
	}
	if want := virtio.Features(fake.FeatureVersion1 | fake.FeatureStatus); got != want {
		t.Errorf("accepted %#x, want %#x", got, want)
	}
}

func TestQueueRefusals(t *testing.T) {
	rings := func(size int) virtio.Rings {
		return virtio.Rings{Size: size, Descriptors: memoryBase, Avail: memoryBase + 4096, Used: memoryBase + 8192}
	}
	for _, tc := range []struct {
		name  string
		set   func(*fake.NIC)
		index int
		size  int
		want  error
	}{
		{"no such queue", nil, 9, 8, virtio.ErrQueue},
		{"maximum 0", func(n *fake.NIC) { n.QueueMax[0] = 0 }, 0, 8, virtio.ErrQueue},
		{"too large", func(n *fake.NIC) { n.QueueMax[0] = 4 }, 0, 8, virtio.ErrQueueSize},
		{"size 0", nil, 0, 0, virtio.ErrQueueSize},
		{"no power of two", nil, 0, 6, virtio.ErrQueueSize},
		{"refused", func(n *fake.NIC) { n.RefuseQueues = true }, 0, 8, virtio.ErrQueueRefuse},
	} {
		t.Run(tc.name, func(t *testing.T) {
			nic := newNIC(t)
			if tc.set != nil {
				tc.set(nic)
			}
			tr := probe(t, nic)
			if err := tr.Begin(); err != nil {
				t.Fatal(err)
			}
			if _, err := tr.Negotiate(0); err != nil {
				t.Fatal(err)
			}
			if err := tr.SetupQueue(tc.index, rings(tc.size)); !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
		})
	}
	t.Run("in use", func(t *testing.T) {
		tr := probe(t, newNIC(t))
		if err := tr.Begin(); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Negotiate(0); err != nil {
			t.Fatal(err)
		}
		if err := tr.SetupQueue(0, rings(8)); err != nil {
			t.Fatal(err)
		}
		if err := tr.SetupQueue(0, rings(8)); !errors.Is(err, virtio.ErrQueueInUse) {
			t.Errorf("error %v, want %v", err, virtio.ErrQueueInUse)
		}
	})
}

func TestStartNoticesADeviceThatDoesNotComeAlive(t *testing.T) {
	nic := newNIC(t)
	nic.RefuseLive = true
	tr := probe(t, nic)
	if err := tr.Begin(); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Negotiate(0); err != nil {
		t.Fatal(err)
	}
	if err := tr.Start(); !errors.Is(err, virtio.ErrNotReady) {
		t.Errorf("error %v, want %v", err, virtio.ErrNotReady)
	}
}

func TestBothInterruptBitsAreAcknowledged(t *testing.T) {
	nic := newNIC(t)
	tr := probe(t, nic)
	for _, want := range []virtio.Interrupt{virtio.InterruptUsed, virtio.InterruptConfig, virtio.InterruptUsed | virtio.InterruptConfig} {
		nic.Raise(uint32(want))
		if got := tr.Interrupt(); got != want {
			t.Errorf("cause %d, want %d", got, want)
		}
		if left := nic.InterruptStatus(); left != 0 {
			t.Errorf("cause %d leaves the line raised for %d", want, left)
		}
	}
	nic.Log()
	if got := tr.Interrupt(); got != 0 {
		t.Errorf("cause %d of no interrupt", got)
	}
	for _, a := range nic.Accesses() {
		if a.Write {
			t.Error("acknowledged an interrupt that was not the device's")
		}
	}
}

func TestConfigurationIsReadAgainWhenItChanged(t *testing.T) {
	nic := newNIC(t)
	tr := probe(t, nic)
	changes := 2
	nic.OnConfigRead = func(off int) {
		if off == 3 && changes > 0 { // in the middle of the address
			changes--
			for i := range 6 {
				nic.Config[i] ^= 0xf0
			}
			nic.BumpGeneration()
		}
	}
	var got [6]byte
	err := tr.ReadConfig(func() {
		for i := range got {
			got[i] = tr.Config8(i)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := [6]byte(nic.Config[:6]); got != want {
		t.Errorf("read % x, want % x", got, want)
	}
}

func TestConfigurationThatNeverRestsIsAnError(t *testing.T) {
	nic := newNIC(t)
	tr := probe(t, nic)
	nic.OnConfigRead = func(int) { nic.BumpGeneration() }
	if err := tr.ReadConfig(func() { tr.Config16(6) }); !errors.Is(err, virtio.ErrConfig) {
		t.Errorf("error %v, want %v", err, virtio.ErrConfig)
	}
}
