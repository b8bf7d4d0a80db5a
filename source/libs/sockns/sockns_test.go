package sockns_test

import (
	"bytes"
	"encoding/binary"
	"go/parser"
	"go/token"
	"testing"

	"nexus/source/libs/sockns"
)

// TestLayout writes a record by hand, as the contract has it.
func TestLayout(t *testing.T) {
	want := make([]byte, 0, sockns.Size)
	want = binary.LittleEndian.AppendUint32(want, 18)
	want = binary.LittleEndian.AppendUint32(want, 0x80000007)
	want = binary.LittleEndian.AppendUint32(want, 9)
	want = append(want, 0x91, 0xff, 0xff, 0xff) // -111
	want = binary.LittleEndian.AppendUint32(want, 1<<16|6)
	want = binary.LittleEndian.AppendUint32(want, 0xdeadbeef)
	want = append(want, 2, 0, 0x90, 0x1f, 0, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) // 127.0.0.1:8080
	want = append(want, 2, 0, 7, 0, 0, 0, 0, 0, 10, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)        // 10.0.2.2:7

	r := sockns.Record{
		Op: sockns.Reply, ID: sockns.ServerID | 7, Seq: 9, Errno: -111, Arg0: 1<<16 | 6, Arg1: 0xdeadbeef,
		Local:  sockns.Address{Family: sockns.FamilyIP4, Port: 8080, IP: [16]byte{127, 0, 0, 1}},
		Remote: sockns.Address{Family: sockns.FamilyIP4, Port: 7, IP: [16]byte{10, 0, 2, 2}},
	}
	var got [sockns.Size]byte
	r.Encode(&got)
	if !bytes.Equal(got[:], want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	var back sockns.Record
	back.Decode(&got)
	if back != r {
		t.Errorf("got  %+v\nwant %+v", back, r)
	}
}

// TestReservedBytesAreZero holds what Decode ignores.
func TestReservedBytesAreZero(t *testing.T) {
	b := [sockns.AddressSize]byte{4: 1, 5: 2, 6: 3, 7: 4}
	var a sockns.Address
	a.Decode(&b)
	a.Encode(&b)
	if b != [sockns.AddressSize]byte{} {
		t.Errorf("got %x", b)
	}
}

func TestNoAllocation(t *testing.T) {
	var b [sockns.Size]byte
	var r sockns.Record
	if n := testing.AllocsPerRun(100, func() { r.Encode(&b); r.Decode(&b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestNoImports keeps the package fit for the kernel.
func TestNoImports(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "sockns.go", nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Imports) != 0 {
		t.Errorf("%d imports", len(f.Imports))
	}
}

func FuzzRoundTrip(f *testing.F) {
	f.Add(make([]byte, sockns.Size))
	f.Add(bytes.Repeat([]byte{0xff}, sockns.Size))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < sockns.Size {
			return
		}
		b := [sockns.Size]byte(data)
		var r, back sockns.Record
		r.Decode(&b)
		var encoded [sockns.Size]byte
		r.Encode(&encoded)
		back.Decode(&encoded)
		if back != r {
			t.Errorf("got  %+v\nwant %+v", back, r)
		}
		for _, at := range []int{28, 52} { // the reserved bytes are the only ones that may differ
			copy(b[at:at+4], []byte{0, 0, 0, 0})
		}
		if encoded != b {
			t.Errorf("got  %x\nwant %x", encoded, b)
		}
	})
}
