package capture

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nexus/tools/nx/internal/frame"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// recorded3 has three frames, recorded out of order.
func recorded3() *Recorder {
	r := new(Recorder)
	arp := frame.ARPRequest(frame.Host, frame.Guest.IP)
	r.Record(start.Add(2*time.Millisecond), frame.Ping(frame.Host, frame.Guest, 1, 2, []byte("x")))
	r.Record(start.Add(1*time.Millisecond), arp)
	r.Record(start.Add(2*time.Millisecond+1), []byte{1, 2, 3})
	arp[0] = 0xee // the recorder keeps a copy
	return r
}

func TestRoundTrip(t *testing.T) {
	r := recorded3()
	path := filepath.Join(t.TempDir(), "x.pcap")
	if err := r.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	read, err := ReadFile(path, start)
	if err != nil {
		t.Fatal(err)
	}
	compare := cmp.Comparer(func(a, b Frame) bool {
		return a.At == b.At && a.Kind == b.Kind && a.Len == b.Len && a.SrcIP == b.SrcIP && bytes.Equal(a.Payload, b.Payload) && bytes.Equal(a.Raw, b.Raw) && bytes.Equal(a.DstMAC, b.DstMAC)
	})
	if d := cmp.Diff(r.Frames(start), read, compare); d != "" {
		t.Errorf("recorded, read:\n%s", d)
	}
	var kinds []frame.Kind
	for _, f := range read {
		kinds = append(kinds, f.Kind)
	}
	if want := []frame.Kind{frame.ARPRequestKind, frame.PingKind, frame.OtherKind}; !cmp.Equal(kinds, want) {
		t.Errorf("got %v, want %v", kinds, want)
	}
	if at := read[2].At; at != 2*time.Millisecond+1 {
		t.Errorf("nanoseconds are lost: %v", at)
	}
}

// The head of a capture is as much of it as there is room for.
func TestWriteHead(t *testing.T) {
	r := recorded3()
	all := r.Frames(start)
	path := filepath.Join(t.TempDir(), "x.pcap")
	for _, tc := range []struct{ limit, left int }{
		{1 << 20, 0},
		{all[0].Len + all[1].Len + 3, 0},
		{all[0].Len + all[1].Len + 2, 1},
		{all[0].Len - 1, 3},
	} {
		left, err := r.WriteHead(path, tc.limit)
		if left != tc.left || err != nil {
			t.Errorf("%d bytes: %d are left, %v; want %d", tc.limit, left, err, tc.left)
		}
		if read, err := ReadFile(path, start); err != nil || len(read) != 3-tc.left {
			t.Errorf("%d bytes: read %d, %v", tc.limit, len(read), err)
		}
	}
}

func TestCutAndForeignFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pcap")
	if err := recorded3().WriteFile(path); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if frames, err := Read(bytes.NewReader(whole[:len(whole)-1]), start); err != nil || len(frames) != 2 {
		t.Errorf("cut: %d frames, %v", len(frames), err)
	}
	wifi := bytes.Clone(whole)
	wifi[20] = 105 // LINKTYPE_IEEE802_11
	for name, data := range map[string][]byte{"nothing": nil, "no pcap": []byte("this is no capture file"), "another link": wifi} {
		if _, err := Read(bytes.NewReader(data), start); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := ReadFile("/nowhere", start); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := recorded3().WriteFile("/nowhere/x.pcap"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestRecorderIsBounded(t *testing.T) {
	var r Recorder
	for range MaxFrames + 10 {
		r.Record(start, nil)
	}
	if n := len(r.Frames(start)); n != MaxFrames || r.Dropped() != 10 {
		t.Errorf("kept %d, dropped %d", n, r.Dropped())
	}
}

// FuzzRead: no file makes the reader panic or go on for ever.
func FuzzRead(f *testing.F) {
	path := filepath.Join(f.TempDir(), "x.pcap")
	if err := recorded3().WriteFile(path); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, data []byte) {
		frames, err := Read(bytes.NewReader(data), start)
		if err == nil && len(frames) > len(data)/16 {
			t.Errorf("%d frames of %d bytes", len(frames), len(data))
		}
	})
}
