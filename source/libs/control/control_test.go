package control

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"nexus/source/libs/channel"
)

// The bound of a body is that of a channel's datagram: whatever one takes, the other takes too.
func TestMaxBody(t *testing.T) {
	if MaxBody != channel.MaxMessage {
		t.Errorf("MaxBody is %d, channel.MaxMessage %d", MaxBody, channel.MaxMessage)
	}
}

// frames are what each side may send, with the bytes it is.
var frames = []struct {
	side Side
	f    Frame
	hex  string
}{
	{Host, Frame{Session: 7, Kind: Open, Body: []byte("netstackd")},
		"4e584331 09000000 07000000 0100 0000 6e6574737461636b64"},
	{Guest, Frame{Session: 7, Kind: Opened}, "4e584331 00000000 07000000 0200 0000"},
	{Guest, Frame{Session: 7, Kind: Refused, Errno: syscall.ENOENT, Body: []byte("no")},
		"4e584331 02000000 07000000 0300 0200 6e6f"},
	{Guest, Frame{Kind: Refused, Errno: syscall.EPROTO, Body: []byte("lost")},
		"4e584331 04000000 00000000 0300 4700 6c6f7374"},
	{Host, Frame{Session: 0xfffffffe, Kind: Data, Body: []byte{0}}, "4e584331 01000000 feffffff 0400 0000 00"},
	{Guest, Frame{Session: 1, Kind: Data, Body: []byte{1, 2}}, "4e584331 02000000 01000000 0400 0000 0102"},
	{Host, Frame{Session: 1, Kind: Close}, "4e584331 00000000 01000000 0500 0000"},
	{Host, Frame{Kind: Stop}, "4e584331 00000000 00000000 0600 0000"},
	{Guest, Frame{Session: 1, Kind: Close, Errno: syscall.ECONNRESET, Body: []byte("it ended")},
		"4e584331 08000000 01000000 0500 6800 697420656e646564"},
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFrames(t *testing.T) {
	for _, tc := range frames {
		var out bytes.Buffer
		if _, err := NewWriter(&out, tc.side).Write(tc.f); err != nil {
			t.Errorf("%+v: %v", tc.f, err)
			continue
		}
		if want := unhex(t, tc.hex); !bytes.Equal(out.Bytes(), want) {
			t.Errorf("%+v is %x, want %x", tc.f, out.Bytes(), want)
		}
		got, err := NewReader(&out, tc.side).Next()
		if len(got.Body) == 0 {
			got.Body = nil
		}
		if err != nil || !reflect.DeepEqual(got, tc.f) {
			t.Errorf("read back %+v, %v; want %+v", got, err, tc.f)
		}
	}
}

// The pieces in which a stream comes do not matter: one byte a read, or as many frames as the buffer takes.
func TestReaderPieces(t *testing.T) {
	var stream []byte
	var want [][]byte
	for i := range 50 {
		body := bytes.Repeat([]byte{byte(i)}, 1+(i*i*i*7)%MaxBody)
		want = append(want, body)
		h := (&Frame{Session: 1, Kind: Data, Body: body}).header()
		stream = append(append(stream, h[:]...), body...)
	}
	for name, pieces := range map[string]io.Reader{
		"whole":               bytes.NewReader(stream),
		"bytes":               iotest.OneByteReader(bytes.NewReader(stream)),
		"half":                iotest.HalfReader(bytes.NewReader(stream)),
		"data with the error": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		r := NewReader(pieces, Host)
		for i := range want {
			f, err := r.Next()
			if err != nil || !bytes.Equal(f.Body, want[i]) {
				t.Fatalf("%s: frame %d: %d bytes, %v; want %d", name, i, len(f.Body), err, len(want[i]))
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("%s: at the end: %v, want io.EOF", name, err)
		}
	}
}

// refused are headers that no stream may hold.
var refused = []struct {
	name string
	from Side
	hex  string
}{
	{"magic", Host, "4e584332 00000000 01000000 0500 0000"},
	{"other byte order", Host, "3143584e 00000000 00000001 0005 0000"},
	{"length 65537", Host, "4e584331 01000100 01000000 0400 0000"},
	{"length 4 GiB", Host, "4e584331 ffffffff 01000000 0400 0000"},
	{"empty DATA", Host, "4e584331 00000000 01000000 0400 0000"},
	{"empty DATA", Guest, "4e584331 00000000 01000000 0400 0000"},
	{"session 0", Host, "4e584331 01000000 00000000 0100 0000 61"},
	{"session 0", Guest, "4e584331 00000000 00000000 0500 0000"},
	{"kind 0", Host, "4e584331 00000000 01000000 0000 0000"},
	{"kind 7", Host, "4e584331 00000000 01000000 0700 0000"},
	{"STOP from the guest", Guest, "4e584331 00000000 00000000 0600 0000"},
	{"STOP of a session", Host, "4e584331 00000000 01000000 0600 0000"},
	{"STOP with a body", Host, "4e584331 01000000 00000000 0600 0000 61"},
	{"OPENED from the host", Host, "4e584331 00000000 01000000 0200 0000"},
	{"REFUSED from the host", Host, "4e584331 00000000 01000000 0300 0000"},
	{"OPEN from the guest", Guest, "4e584331 01000000 01000000 0100 0000 61"},
	{"OPEN of nothing", Host, "4e584331 00000000 01000000 0100 0000"},
	{"OPEN of 65 bytes", Host, "4e584331 41000000 01000000 0100 0000"},
	{"OPENED with a body", Guest, "4e584331 01000000 01000000 0200 0000 61"},
	{"CLOSE with a text", Host, "4e584331 01000000 01000000 0500 0000 61"},
	{"text of 513 bytes", Guest, "4e584331 01020000 01000000 0500 0000"},
	{"errno from the host", Host, "4e584331 01000000 01000000 0400 0100 61"},
	{"errno in DATA", Guest, "4e584331 01000000 01000000 0400 0100 61"},
}

func TestReaderRefuses(t *testing.T) {
	for _, tc := range refused {
		r := NewReader(bytes.NewReader(unhex(t, tc.hex)), tc.from)
		if _, err := r.Next(); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v, want ErrProtocol", tc.name, err)
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("%s: then %v, want io.EOF", tc.name, err)
		}
	}
}

// script is a stream that ends and goes on.
type script [][]byte // nil: io.EOF

func (s *script) Read(p []byte) (int, error) {
	if len(*s) == 0 {
		return 0, os.ErrClosed
	}
	piece := (*s)[0]
	*s = (*s)[1:]
	if piece == nil {
		return 0, io.EOF
	}
	return copy(p, piece), nil
}

// After garbage, or an end within a frame, the next host begins anew and none of it is taken for a frame.
func TestReaderBeginsAnew(t *testing.T) {
	good := unhex(t, frames[0].hex)
	r := NewReader(&script{
		good[:5], nil,
		append(bytes.Clone(good), "garbage that is long enough"...), good, nil,
		good, nil, nil,
		good,
	}, Host)
	for i, want := range []error{io.ErrUnexpectedEOF, nil, ErrProtocol, io.EOF, nil, io.EOF, io.EOF, nil, os.ErrClosed, os.ErrClosed} {
		if _, err := r.Next(); !errors.Is(err, want) {
			t.Fatalf("call %d: %v, want %v", i, err, want)
		}
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestReaderOfStuckStream(t *testing.T) {
	if _, err := NewReader(stuck{}, Host).Next(); err != io.ErrNoProgress {
		t.Errorf("got %v, want io.ErrNoProgress", err)
	}
}

func TestWriterRefuses(t *testing.T) {
	for _, tc := range []struct {
		side Side
		f    Frame
	}{
		{Host, Frame{Session: 1, Kind: Data}},
		{Host, Frame{Session: 1, Kind: Data, Body: make([]byte, MaxBody+1)}},
		{Host, Frame{Kind: Data, Body: []byte{1}}},
		{Host, Frame{Session: 1, Kind: Opened}},
		{Guest, Frame{Session: 1, Kind: Open, Body: []byte("a")}},
		{Guest, Frame{Session: 1, Kind: Close, Errno: 1 << 16}},
	} {
		var out bytes.Buffer
		if whole, err := NewWriter(&out, tc.side).Write(tc.f); !errors.Is(err, ErrProtocol) || !whole || out.Len() > 0 {
			t.Errorf("session %d kind %d of %d bytes: %v and %d bytes written", tc.f.Session, tc.f.Kind, len(tc.f.Body), err, out.Len())
		}
	}
}

// limited takes so many bytes of a write.
type limited int

func (l limited) Write(p []byte) (int, error) {
	if n := int(l); n < len(p) {
		return n, os.ErrDeadlineExceeded
	}
	return len(p), nil
}

func TestWriterTellsPartsFromWholes(t *testing.T) {
	f := Frame{Session: 1, Kind: Data, Body: []byte("1234")}
	for taken, want := range map[int]bool{0: true, 1: false, HeaderSize: false, HeaderSize + 3: false, HeaderSize + 4: true} {
		whole, err := NewWriter(limited(taken), Host).Write(f)
		if whole != want || (err == nil) != (taken == HeaderSize+4) {
			t.Errorf("%d bytes taken: whole %v, %v", taken, whole, err)
		}
	}
}

func TestText(t *testing.T) {
	for _, text := range []string{"", "a\nb", "\xff", strings.Repeat("x", MaxText), strings.Repeat("ü", MaxText)} {
		got := Text(text)
		if len(got) > MaxText || !utf8.Valid(got) || bytes.ContainsRune(got, '\n') || text != "" && len(got) == 0 {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// Frames cost nothing but their bytes.
func TestNoAllocation(t *testing.T) {
	body := make([]byte, 1000)
	w := NewWriter(io.Discard, Guest)
	stream := repeat(unhex(t, frames[4].hex))
	r := NewReader(&stream, Host)
	allocations := testing.AllocsPerRun(100, func() {
		if _, err := w.Write(Frame{Session: 1, Kind: Data, Body: body}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations a frame", allocations)
	}
}

// repeat gives the same bytes again and again.
type repeat []byte

func (r *repeat) Read(p []byte) (int, error) { return copy(p, *r), nil }

// FuzzReader: whatever comes, a frame that is given is one that the writer writes the same, and everything ends.
func FuzzReader(f *testing.F) {
	for _, tc := range frames {
		f.Add(unhex(f, tc.hex), bool(tc.side))
	}
	for _, tc := range refused {
		f.Add(unhex(f, tc.hex), bool(tc.from))
	}
	f.Fuzz(func(t *testing.T, stream []byte, from bool) {
		r := NewReader(iotest.HalfReader(bytes.NewReader(stream)), Side(from))
		var again bytes.Buffer
		w := NewWriter(&again, Side(from))
		for {
			frame, err := r.Next()
			if errors.Is(err, ErrProtocol) {
				break
			}
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(frame); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(stream, again.Bytes()) {
			t.Errorf("%x was read as %x", stream, again.Bytes())
		}
	})
}

func BenchmarkFrame(b *testing.B) {
	stream := repeat(unhex(b, frames[0].hex))
	r := NewReader(&stream, Host)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Next(); err != nil {
			b.Fatal(err)
		}
	}
}
