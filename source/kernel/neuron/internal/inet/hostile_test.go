package inet

import (
	"testing"

	"pgregory.net/rapid"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/pipe"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/user/usertest"
	"nexus/source/libs/sockns"
)

// TestHostileRecords names each thing that a server can get wrong, and what it is counted as.
func TestHostileRecords(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	s, data := w.connectedStream()
	l, ldata := w.listener(3)
	newFile := func(kind unixsock.Type) (f, peer *file.File) {
		a, b, _ := unixsock.Pair(kind)
		return file.New(a, 0), file.New(b, 0)
	}
	good, goodPeer := newFile(unixsock.Stream)
	packets, packetsPeer := newFile(unixsock.Seqpacket)
	loaded, loadedPeer := newFile(unixsock.Stream)
	var r unixsock.Rights
	r.Files[0], r.N = good.Ref(), 1
	loadedPeer.Object.(*unixsock.Socket).Send(usertest.In([]byte("x")), nil, &r, 0)
	pr, pw, _ := pipe.New()
	notSocket, pipeWriter := file.New(pr, 0), file.New(pw, 0)

	for _, tt := range []struct {
		what string
		rec  sockns.Record
		f    *file.File
		want Reason
	}{
		{"no operation", sockns.Record{ID: s.id}, nil, BadOp},
		{"an operation of the kernel's", sockns.Record{Op: sockns.Bind, ID: s.id}, nil, BadOp},
		{"an unknown socket", sockns.Record{Op: sockns.Reply, ID: 12345}, nil, UnknownSocket},
		{"a reply that nobody waits for", sockns.Record{Op: sockns.Reply, ID: s.id, Seq: 0}, nil, NotAsked},
		{"a reply with a made-up seq", sockns.Record{Op: sockns.Reply, ID: s.id, Seq: 7}, nil, NotAsked},
		{"an error that is none", sockns.Record{Op: sockns.Error, ID: s.id}, nil, BadErrno},
		{"accepted for a connection", sockns.Record{Op: sockns.Accepted, ID: s.id, Arg0: sockns.ServerID | 9}, good, NotListening},
		{"accepted without a descriptor", sockns.Record{Op: sockns.Accepted, ID: l.id, Arg0: sockns.ServerID | 9}, nil, BadDescriptor},
		{"accepted with a pipe", sockns.Record{Op: sockns.Accepted, ID: l.id, Arg0: sockns.ServerID | 9}, notSocket, BadDescriptor},
		{"accepted with packets", sockns.Record{Op: sockns.Accepted, ID: l.id, Arg0: sockns.ServerID | 9}, packets, BadDescriptor},
		{"accepted with descriptors in it", sockns.Record{Op: sockns.Accepted, ID: l.id, Arg0: sockns.ServerID | 9}, loaded, BadDescriptor},
		{"accepted with the serving end", sockns.Record{Op: sockns.Accepted, ID: l.id, Arg0: sockns.ServerID | 9}, w.files[1], BadDescriptor},
		{"accepted with an id of the kernel's", sockns.Record{Op: sockns.Accepted, ID: l.id, Arg0: 77}, good, BadID},
	} {
		before := w.namespace.Dropped(tt.want)
		w.send(tt.rec, tt.f)
		if got := w.namespace.Dropped(tt.want); got != before+1 {
			t.Errorf("%s: counted %d times", tt.what, got-before)
		}
		if s.Ready() != abi.EPOLLOUT || l.Ready() != 0 {
			t.Errorf("%s: ready %#x and %#x", tt.what, s.Ready(), l.Ready())
		}
	}
	w.send(sockns.Record{Op: sockns.Accepted, ID: l.id, Arg0: sockns.ServerID | 9}, good)
	w.send(sockns.Record{Op: sockns.Accepted, ID: l.id, Arg0: sockns.ServerID | 9}, good)
	if w.namespace.Dropped(BadID) != 2 || l.queued != 1 {
		t.Error("an id was given twice")
	}
	for _, n := range []int{0, 1, sockns.Size - 1, sockns.Size + 1, 1000} {
		if _, err := w.server.Send(usertest.In(make([]byte, n)), nil); err != abi.EINVAL {
			t.Errorf("a record of %d bytes: %d, want EINVAL", n, err)
		}
	}
	if got := w.namespace.Dropped(BadSize); got != 5 {
		t.Errorf("%d of wrong size, want 5", got)
	}
	if _, err := w.server.Send(usertest.Broken(make([]byte, 10), sockns.Size), nil); err != abi.EFAULT {
		t.Errorf("a record from nowhere: %d, want EFAULT", err)
	}
	for _, v := range []int32{-1, -111, 512, 1 << 30, -1 << 31} {
		w.send(sockns.Record{Op: sockns.Error, ID: s.id, Errno: v}, nil)
		if err := s.TakeError(); err != abi.EIO {
			t.Errorf("error %d became %d, want EIO", v, err)
		}
	}
	s.Close()
	l.Close()
	for _, f := range []*file.File{data, ldata, good, goodPeer, packets, packetsPeer, loaded, loadedPeer, notSocket, pipeWriter} {
		f.Release()
		reap()
	}
	w.close()
}

// TestAnything lets programs and a server that sends anything act at random, and wants that nothing breaks and nothing is left.
func TestAnything(t *testing.T) {
	mem.InitHost(2048, 0)
	free := mem.Available()
	met := map[Reason]bool{}
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		var sockets []*Socket
		var files []*file.File // of the server
		ids := []uint32{0, 1, sockns.ServerID, sockns.ServerID | 1, 1<<32 - 1}
		var asked []sockns.Record
		served := true
		l, lfile := w.listener(2)
		c, cfile := w.connectedStream()
		sockets, files = append(sockets, l, c), append(files, lfile, cfile)
		ids = append(ids, l.id, l.id, l.id, c.id)
		socket := func(t *rapid.T) *Socket {
			if len(sockets) == 0 {
				t.Skip()
			}
			return sockets[rapid.IntRange(0, len(sockets)-1).Draw(t, "socket")]
		}
		address := rapid.SampledFrom([]sockns.Address{{}, zero, near, far, {Family: 10, Port: 1}})
		deliver := func(t *rapid.T, rec sockns.Record) {
			var b [sockns.Size]byte
			rec.Encode(&b)
			var r unixsock.Rights
			if len(files) > 0 {
				for range rapid.SampledFrom([]int{0, 1, 1, 1, 2}).Draw(t, "descriptors") {
					r.Files[r.N] = files[rapid.IntRange(0, len(files)-1).Draw(t, "which")].Ref()
					r.N++
				}
			}
			w.server.Send(usertest.In(b[:]), &r)
			r.Release()
			reap()
		}
		actions := map[string]func(*rapid.T){
			"new": func(t *rapid.T) {
				kind := rapid.SampledFrom([]unixsock.Type{unixsock.Stream, unixsock.Datagram}).Draw(t, "type")
				if s, q, err := New(w.namespace, kind); q == nil && err == abi.OK {
					sockets = append(sockets, s)
					ids = append(ids, s.id)
				}
			},
			"close": func(t *rapid.T) {
				s := socket(t)
				for i := range sockets {
					if sockets[i] == s {
						sockets = append(sockets[:i], sockets[i+1:]...)
						break
					}
				}
				s.Close()
			},
			"bind":   func(t *rapid.T) { a := address.Draw(t, "to"); socket(t).Bind(&a) },
			"listen": func(t *rapid.T) { socket(t).Listen(rapid.IntRange(-1, 3).Draw(t, "backlog")) },
			"connect": func(t *rapid.T) {
				a := address.Draw(t, "to")
				socket(t).Connect(&a, rapid.Bool().Draw(t, "nonblocking"), rapid.Uint64Range(0, 1<<40).Draw(t, "now"))
			},
			"expire": func(t *rapid.T) { Expire(rapid.Uint64Range(0, 1<<41).Draw(t, "now")) },
			"cancel": func(t *rapid.T) { socket(t).Cancel() },
			"accept": func(t *rapid.T) {
				if s, err := socket(t).Accept(); err == abi.OK {
					sockets = append(sockets, s)
				}
			},
			"send": func(t *rapid.T) {
				a := address.Draw(t, "to")
				to := &a
				if rapid.Bool().Draw(t, "connected") {
					to = nil
				}
				socket(t).Send(usertest.In(make([]byte, rapid.IntRange(0, 5000).Draw(t, "n"))), to, 0)
			},
			"recv": func(t *rapid.T) {
				var from sockns.Address
				socket(t).Recv(usertest.Out(make([]byte, rapid.IntRange(0, 5000).Draw(t, "n"))), &from,
					rapid.SampledFrom([]int{0, unixsock.MSG_PEEK, unixsock.MSG_DONTWAIT}).Draw(t, "flags"))
			},
			"shutdown": func(t *rapid.T) { socket(t).Shutdown(rapid.IntRange(-1, 3).Draw(t, "how")) },
			"option": func(t *rapid.T) {
				o := rapid.SampledFrom(table[:]).Draw(t, "option")
				socket(t).SetOption(int(o.level), int(o.name), rapid.IntRange(-1, 300).Draw(t, "value"))
			},
			"so_error": func(t *rapid.T) { socket(t).TakeError() },
			"serve": func(t *rapid.T) {
				if !served || w.server.Ready()&abi.EPOLLIN == 0 {
					t.Skip()
				}
				rec, r := w.next()
				files = append(files, r.Files[:r.N]...)
				if rec.Seq != 0 {
					asked = append(asked, rec)
				}
			},
			"reply": func(t *rapid.T) {
				if !served || len(asked) == 0 {
					t.Skip()
				}
				to := asked[len(asked)-1]
				asked = asked[:len(asked)-1]
				deliver(t, sockns.Record{Op: sockns.Reply, ID: to.ID, Seq: to.Seq, Errno: rapid.SampledFrom([]int32{0, 0, 0, 98, -3, 512}).Draw(t, "errno"),
					Local: address.Draw(t, "local"), Remote: address.Draw(t, "remote")})
			},
			"anything": func(t *rapid.T) {
				if !served {
					t.Skip()
				}
				deliver(t, sockns.Record{
					Op: sockns.Op(rapid.SampledFrom([]uint32{0, 1, 16, 16, 16, 17, 18, 99}).Draw(t, "op")), ID: rapid.SampledFrom(ids).Draw(t, "id"),
					Seq: rapid.Uint32Range(0, 30).Draw(t, "seq"), Errno: rapid.SampledFrom([]int32{0, 104, -1, 512, 1 << 30}).Draw(t, "errno"),
					Arg0: rapid.SampledFrom(ids).Draw(t, "arg0"), Local: address.Draw(t, "local"), Remote: address.Draw(t, "remote"),
				})
			},
			"pair": func(t *rapid.T) {
				a, b, _ := unixsock.Pair(rapid.SampledFrom([]unixsock.Type{unixsock.Stream, unixsock.Stream, unixsock.Datagram}).Draw(t, "type"))
				files = append(files, file.New(a, 0), file.New(b, 0))
			},
			"server data": func(t *rapid.T) {
				if len(files) == 0 {
					t.Skip()
				}
				f := files[rapid.IntRange(0, len(files)-1).Draw(t, "which")]
				f.Object.Write(usertest.In(make([]byte, rapid.IntRange(0, 60).Draw(t, "n"))), 0)
				f.Object.Read(usertest.Out(make([]byte, 100)), 0)
			},
			"server closes": func(t *rapid.T) {
				if len(files) == 0 {
					t.Skip()
				}
				files[0].Release()
				reap()
				files = files[1:]
			},
			"server dies": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "rarely") > 0 || !served {
					t.Skip()
				}
				served, asked = false, nil
				w.die()
			},
			"server returns": func(t *rapid.T) {
				if served {
					t.Skip()
				}
				s, err := w.namespace.Serve()
				if err != abi.OK {
					t.Fatal(err)
				}
				w.server, served = s, true
				w.files = append(w.files, file.New(s, abi.O_RDWR))
			},
			"": func(t *rapid.T) {
				for _, s := range sockets {
					s.Ready()
					if n := 0; s.state == listening {
						for q := s.first; q != nil; q = q.next {
							n++
						}
						if n != int(s.queued) {
							t.Fatalf("%d in the queue, counted %d", n, s.queued)
						}
					}
					if find(w.namespace, s.id) != s {
						t.Fatal("a socket is not found by its id")
					}
				}
			},
		}
		for range 4 {
			t.Repeat(actions)
		}
		for r := range reasons {
			met[r] = met[r] || w.namespace.Dropped(r) > 0
		}
		for _, s := range sockets {
			s.Close()
		}
		for _, f := range files {
			f.Release()
			reap()
		}
		w.close()
		checkEmpty(t, free)
	})
	for _, r := range []Reason{BadOp, UnknownSocket, NotAsked, BadErrno, NotListening, BadDescriptor} {
		if !met[r] {
			t.Errorf("reason %d was never met", r)
		}
	}
}
