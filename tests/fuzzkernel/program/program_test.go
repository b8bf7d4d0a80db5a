package program

import (
	"encoding/binary"
	"reflect"
	"testing"
)

const example = `data 0x2000000000 0102
data 0x2000000008 0800002000000000
data 0x2000000010 00
list 0
s32 = pipe2(0x2000000008, 2048)
s33 = load4(0x200000000c)
store8(0x2000000000, s33)
touch(0x2010000000, 0x10000, 1)
start(1)
tick(10, 0x186a0, 10)
list 1 rounds 3
write(s33, -1, 5)
call 500(1, 0, 3)
`

func TestText(t *testing.T) {
	p, err := Parse("# a comment\n\n" + example)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Text(); got != example {
		t.Errorf("got\n%swant\n%s", got, example)
	}
	want := Op{Code: Call, Slot: NoSlot, Number: 64, Args: [6]Value{{Slot: true, Number: 33}, {Number: ^uint64(0)}, {Number: 5}}}
	if got := p.Lists[1][0]; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestTextIsRefused(t *testing.T) {
	for _, text := range []string{
		"no(1)", "read 1", "read(1", "s255 = getpid()", "x = getpid()", "read(1, 2, 3, 4, 5, 6, 7)", "read(s300)", "read(one)", "list", "list 16",
		"list 0 rounds", "data 1", "data 0x10 00", "data 0x2000000000 0", "call x()",
	} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// TestEncode looks the binary form up as the executor does.
func TestEncode(t *testing.T) {
	p, err := Parse(example)
	if err != nil {
		t.Fatal(err)
	}
	b := p.Encode()
	word := func(at uint64) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	list := word(HeaderLists + ListSize)
	got := []uint64{
		word(0), word(HeaderData) % 4096, word(HeaderDataSize), word(HeaderLists + ListSize + 8), word(HeaderLists + ListSize + 16),
		word(HeaderLists + ListSize + 24), uint64(b[list+OpCode]), uint64(b[list+OpSlot]), uint64(b[list+OpNumber]), uint64(b[list+OpKinds]),
		word(list + OpArgs), word(list + OpSize + OpArgs + 16), word(word(HeaderData) + 8),
	}
	want := []uint64{Magic, 0, 4096, 2, 3, 6, uint64(Call), NoSlot, 64, 1, 33, 3, 0x20000008}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#x\nwant %#x", got, want)
	}
}

// TestUsed: what an argument points at is used, and what that points at; nothing else.
func TestUsed(t *testing.T) {
	p := &Program{Data: []Segment{
		{Data, []byte{8, 0, 0, 0, 0x20, 0, 0, 0}}, {Data + 8, []byte{1}}, {Data + 16, []byte{2}}, {Data + 24, []byte{3}},
	}}
	p.Lists[2] = []Op{{Args: [6]Value{{Number: Data + 3}, {Slot: true, Number: Data + 24}}}}
	if got := p.Used(); !reflect.DeepEqual(got, p.Data[:2]) {
		t.Errorf("got %v, want the first two", got)
	}
}
