package unixsock

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/user/usertest"
)

// modelled is a pair beside what must wait at each of its sides, and files whose references are counted: one of the test's own until it
// drops it, one for each time that the file is on its way or was received and is held.
type modelled struct {
	kind    Type
	ends    [2]*Socket // nil when closed
	waiting [2][]modelMessage
	reset   [2]bool // the peer went with something unread
	gone    [2]bool // datagram: a send has found the peer closed

	things []*thing
	files  []*file.File
	refs   []int
	own    []bool
	held   []Rights
	seed   byte
}

type modelMessage struct {
	data   []byte
	rights []int
}

func (m *modelled) index(f *file.File) int {
	for i := range m.files {
		if m.files[i] == f {
			return i
		}
	}
	return -1
}

func (m *modelled) drop(messages []modelMessage) {
	for _, msg := range messages {
		for _, i := range msg.rights {
			m.refs[i]--
		}
	}
}

func (m *modelled) send(t *rapid.T) {
	side := rapid.IntRange(0, 1).Draw(t, "side")
	s := m.ends[side]
	if s == nil {
		t.Skip()
	}
	m.seed++
	data := bytes.Repeat([]byte{m.seed}, rapid.OneOf(rapid.IntRange(1, 10), rapid.IntRange(1, 9000)).Draw(t, "n"))
	var r Rights
	var sent []int
	for range rapid.SampledFrom([]int{0, 0, 1, 2, MaxRights}).Draw(t, "rights") {
		if i := rapid.IntRange(0, len(m.files)-1).Draw(t, "thing"); m.own[i] {
			r.Files[r.N] = m.files[i].Ref()
			r.N++
			sent = append(sent, i)
		}
	}
	n, err := s.Send(usertest.In(data), nil, &r, 0)
	want := abi.OK
	switch {
	case m.kind == Seqpacket && m.reset[side]:
		want, m.reset[side] = abi.ECONNRESET, false
	case m.kind == Datagram && m.gone[side]:
		want = abi.ENOTCONN
	case m.kind == Datagram && m.ends[1-side] == nil:
		want, m.gone[side] = abi.ECONNREFUSED, true
		m.drop(m.waiting[side])
		m.waiting[side] = nil
	case m.ends[1-side] == nil:
		want = abi.EPIPE
	case err == abi.EAGAIN && m.ends[1-side].in.used >= Bound:
		want = abi.EAGAIN
	case len(sent) > 0 && m.ends[1-side].parcels == perSocket:
		want = abi.ETOOMANYREFS
	}
	if err != want || err == abi.OK && (n < 1 || n > len(data) || m.kind != Stream && n != len(data)) {
		t.Fatalf("send of %d = %d, %d, want %d", len(data), n, err, want)
	}
	if err != abi.OK {
		if r.N != len(sent) {
			t.Fatalf("a refused send took %d of %d descriptors", len(sent)-r.N, len(sent))
		}
		r.Release()
		return
	}
	if r.N != 0 {
		t.Fatal("a send left descriptors")
	}
	for _, i := range sent {
		m.refs[i]++
	}
	m.waiting[1-side] = append(m.waiting[1-side], modelMessage{data[:n], sent})
}

// take is what a receive of at most n bytes gives, and what waits after it.
func (m *modelled) take(side, n int) (data []byte, rights []int, left []modelMessage) {
	queue := append([]modelMessage(nil), m.waiting[side]...)
	if m.kind != Stream {
		return queue[0].data[:min(n, len(queue[0].data))], queue[0].rights, queue[1:]
	}
	for n > 0 && len(queue) > 0 && len(rights) == 0 {
		k := min(n, len(queue[0].data))
		data, rights = append(data, queue[0].data[:k]...), queue[0].rights
		n -= k
		if queue[0] = (modelMessage{data: queue[0].data[k:]}); len(queue[0].data) > 0 {
			break
		}
		queue = queue[1:]
	}
	return data, rights, queue
}

func (m *modelled) recv(t *rapid.T) {
	side := rapid.IntRange(0, 1).Draw(t, "side")
	s := m.ends[side]
	if s == nil {
		t.Skip()
	}
	p := make([]byte, rapid.OneOf(rapid.IntRange(1, 10), rapid.IntRange(1, 20000)).Draw(t, "n"))
	peek, with := rapid.Bool().Draw(t, "peek"), rapid.Bool().Draw(t, "with descriptors")
	flags := MSG_DONTWAIT
	if peek {
		flags |= MSG_PEEK
	}
	var r *Rights
	if with {
		r = new(Rights)
	}
	n, msg, err := s.Recv(usertest.Out(p), nil, r, flags)
	if m.reset[side] && (m.kind != Stream || len(m.waiting[side]) == 0) {
		if m.reset[side] = false; err != abi.ECONNRESET {
			t.Fatalf("recv = %d, %d, want ECONNRESET", n, err)
		}
		return
	}
	if len(m.waiting[side]) == 0 {
		want := abi.EAGAIN
		if m.ends[1-side] == nil && m.kind != Datagram {
			want = abi.OK
		}
		if n != 0 || err != want {
			t.Fatalf("recv of nothing = %d, %d, want %d", n, err, want)
		}
		return
	}
	data, rights, left := m.take(side, len(p))
	if err != abi.OK || !bytes.Equal(p[:n], data) {
		t.Fatalf("recv = %d, %d, or other bytes, want %d", n, err, len(data))
	}
	if got := msg&MSG_CTRUNC != 0; got != (len(rights) > 0 && !with) {
		t.Fatalf("MSG_CTRUNC %v with %d descriptors", got, len(rights))
	}
	if with {
		if r.N != len(rights) {
			t.Fatalf("%d descriptors, want %d", r.N, len(rights))
		}
		for k, i := range rights {
			if m.index(r.Files[k]) != i {
				t.Fatalf("descriptor %d is another file", k)
			}
			m.refs[i]++
		}
		m.held = append(m.held, *r)
	}
	if !peek {
		m.drop([]modelMessage{{rights: rights}})
		m.waiting[side] = left
	}
}

func (m *modelled) forget(t *rapid.T) {
	if len(m.held) == 0 {
		t.Skip()
	}
	r := m.held[0]
	m.held = m.held[1:]
	for _, f := range r.Files[:r.N] {
		m.refs[m.index(f)]--
	}
	r.Release()
}

func (m *modelled) dropThing(t *rapid.T) {
	i := rapid.IntRange(0, len(m.files)-1).Draw(t, "thing")
	if !m.own[i] || rapid.IntRange(0, 3).Draw(t, "rarely") > 0 {
		t.Skip()
	}
	m.own[i] = false
	m.refs[i]--
	m.files[i].Release()
}

func (m *modelled) closeEnd(side int) {
	m.ends[side].Close()
	m.ends[side] = nil
	if len(m.waiting[side]) > 0 && m.kind != Datagram && m.ends[1-side] != nil {
		m.reset[1-side] = true
	}
	m.drop(m.waiting[side])
	m.waiting[side] = nil
}

// TestModel sends, receives, peeks, drops and closes at random on both sides: contents and references are those of the model, which
// closes a file with its last reference, not before and not later.
func TestModel(t *testing.T) {
	start(t, 2048)
	rapid.Check(t, func(t *rapid.T) {
		m := &modelled{kind: rapid.SampledFrom([]Type{Stream, Seqpacket, Datagram}).Draw(t, "type")}
		m.ends[0], m.ends[1] = pair(t, m.kind)
		for range 6 {
			o := new(thing)
			m.things, m.files = append(m.things, o), append(m.files, file.New(o, 0))
			m.refs, m.own = append(m.refs, 1), append(m.own, true)
		}
		t.Repeat(map[string]func(*rapid.T){
			"send": m.send, "send2": m.send, "recv": m.recv, "recv2": m.recv, "forget": m.forget, "drop": m.dropThing,
			"close": func(t *rapid.T) {
				side := rapid.IntRange(0, 1).Draw(t, "side")
				if m.ends[side] == nil || rapid.IntRange(0, 9).Draw(t, "rarely") > 0 {
					t.Skip()
				}
				m.closeEnd(side)
			},
			"": func(t *rapid.T) {
				reap()
				for i, o := range m.things {
					if want := m.refs[i] == 0; (o.closed == 1) != want || o.closed > 1 {
						t.Fatalf("file %d with %d references was closed %d times", i, m.refs[i], o.closed)
					}
				}
				for side, s := range m.ends {
					if s == nil {
						continue
					}
					parcels, bytes := 0, 0
					for _, msg := range m.waiting[side] {
						bytes += len(msg.data)
						if len(msg.rights) > 0 {
							parcels++
						}
					}
					if int(s.parcels) != parcels || int(s.in.used-s.in.frames*frameHeader) != bytes || s.in.empty() != (bytes == 0) {
						t.Fatalf("side %d: %d parcels, %d bytes, want %d, %d", side, s.parcels, s.in.used-s.in.frames*frameHeader, parcels, bytes)
					}
				}
			},
		})
		for side, s := range m.ends {
			if s != nil {
				m.closeEnd(side)
			}
		}
		for len(m.held) > 0 {
			m.held[0].Release()
			m.held = m.held[1:]
		}
		for i, f := range m.files {
			if m.own[i] {
				f.Release()
			}
		}
		reap()
		for i, o := range m.things {
			if o.closed != 1 {
				t.Errorf("file %d closed %d times", i, o.closed)
			}
		}
	})
}
