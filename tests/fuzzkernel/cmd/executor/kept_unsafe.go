//go:build riscv64

package main

import (
	"sync/atomic"

	"nexus/tests/fuzzkernel/program"
)

// Operations that know what their calls must give: see program/kept.go.

// A stream's entry: whether it is open, or a pair of sockets, the place (see own) of who receives from it, and whether bytes were taken
// from it without looking.
const (
	streamSize  = 32
	streamState = 0
	streamTaken = 8
	streamBlind = 16

	streamPipe, streamPair = 1, 2
)

// A send's entry: its state, what its call returned, what arrived and from which stream (counted from 1), and how much of its bytes lies
// in memory.
const (
	sendSize     = 64
	sendState    = 0
	sendReturned = 8
	sendArrived  = 16
	sendStream   = 24
	sendFilled   = 32

	sendUnused, sendTaken, sendUnderWay, sendDone = 0, 1, 2, 3
)

const (
	sends    = streams + streamSize*program.Streams
	bytesOf  = 0x21_5000_0000 // of each send, and of each stream what was received
	buffers  = bytesOf + bytesEach*program.Sends
	spill    = buffers + bytesEach*program.Streams
	bytesAll = spill + bytesEach - bytesOf
	// bytesEach has room for a word behind MostBytes, and what a comparison in the middle of a period needs.
	bytesEach = 128 << 10
)

// What an operation gives to calls lies in a place of its own for each thread and depth of handlers.
const (
	ownTime    = 0
	ownClock   = 16
	ownVectors = 32
	ownPolls   = 96
	ownEach    = 256
)

const (
	sysEventsCreate, sysEventsControl, sysEventsWait = 20, 21, 22
	sysFcntl, sysPipe2, sysReadv, sysWritev          = 25, 59, 65, 66
	sysPpoll, sysFutex, sysSetTid, sysGettime        = 73, 98, 96, 113
	sysClockSleep, sysSocketpair, sysRecvfrom        = 115, 199, 207

	setFlags, nonblock, monotonic = 4, 0x800, 1
	pollIn, pollOut               = 1, 4
	waitAll                       = 0x100

	again, interrupted, badFile, busy, timedOut = ^uintptr(10), ^uintptr(3), ^uintptr(8), ^uintptr(15), ^uintptr(109)
)

//go:nosplit
func wrong(what program.Wrong, number, got, want uintptr) {
	if atomic.CompareAndSwapUint64(at(results+program.ResultWrong), 0, uint64(what)) {
		set(results+program.ResultCall, number)
		set(results+program.ResultGot, got)
		set(results+program.ResultWant, want)
	}
}

//go:nosplit
func own() uintptr {
	t := record()
	return owns + ownEach*((t-threads)/threadSize*(mostDepth+2)+word(t+threadDepth))
}

// inHandler reports whether the thread with this place is deeper in handlers than it was there.
//
//go:nosplit
func inHandler(place uintptr) bool {
	n := (place - owns) / ownEach
	return place != 0 && word(threads+threadSize*(n/(mostDepth+2))+threadDepth) > n%(mostDepth+2)
}

//go:nosplit
func clock() uintptr {
	p := own() + ownClock
	call(sysGettime, monotonic, p, 0, 0, 0, 0)
	return word(p)*1_000_000_000 + word(p+8)
}

//go:nosplit
func duration(ns uintptr) uintptr {
	p := own() + ownTime
	set(p, ns/1_000_000_000)
	set(p+8, ns%1_000_000_000)
	return p
}

// kept makes an operation of these.
//
//go:nosplit
func kept(o, a, b uintptr) (r uintptr) {
	c, number := argument(o, 2), uintptr(sysFutex)
	switch program.Code(byteAt(o)) {
	case program.Stream:
		return stream(a&(program.Streams-1), b)
	case program.Send:
		number, a = sysWrite, a&(program.Streams-1)
		r = send(a, b, c, streamFD(a)+program.WriteEnd)
	case program.Receive:
		number = sysRead
		r = receive(a&(program.Streams-1), b, c)
	case program.Await:
		r = await(a, b, c)
	case program.Sleep:
		number, r = sysNanosleep, sleep(a, b)
	case program.Poll:
		number = sysPpoll
		if c != 0 {
			r = pollEvents(a, b)
		} else {
			r = poll(a, b)
		}
	}
	if want := argument(o, 5); want != 0 && r != want {
		wrong(program.Unexpected, number, r, want)
	}
	return r
}

//go:nosplit
func streamFD(i uintptr) uintptr { return program.DescriptorStreams + program.PerStream*i }

//go:nosplit
func streamAt(i uintptr) uintptr { return streams + streamSize*i }

//go:nosplit
func sendAt(i uintptr) uintptr { return sends + sendSize*i }

//go:nosplit
func stream(i, pair uintptr) uintptr {
	if word(streams) == 0 {
		mapAt(bytesOf, bytesAll, read|write, private|anonymous, ^uintptr(0), 0)
	}
	p, state, r := own(), uintptr(streamPipe), uintptr(0)
	if pair != 0 {
		state, r = streamPair, call(sysSocketpair, 1, 1, 0, p, 0, 0)
	} else {
		r = call(sysPipe2, p, 0, 0, 0, 0, 0)
	}
	if failed(r) {
		return r
	}
	fd, in, out := streamFD(i), word(p)&0xffffffff, word(p)>>32
	call(sysDup3, in, fd+program.ReadEnd, 0, 0, 0, 0)
	call(sysDup3, out, fd+program.WriteEnd, 0, 0, 0, 0)
	call(sysDup3, out, fd+program.KeptEnd, 0, 0, 0, 0)
	call(sysClose, in, 0, 0, 0, 0, 0)
	call(sysClose, out, 0, 0, 0, 0, 0)
	set(streamAt(i), state)
	return 0
}

// takeSend is a send that is not under way, or Sends if all are.
//
//go:nosplit
func takeSend() uintptr {
	for i := uintptr(0); i < program.Sends; i++ {
		e := sendAt(i)
		s := atomic.LoadUint64(at(e))
		if s != sendUnused && (s != sendDone || word(e+sendArrived) != word(e+sendReturned)) {
			continue
		}
		if atomic.CompareAndSwapUint64(at(e), s, sendTaken) {
			set(e+sendArrived, 0)
			set(e+sendStream, 0)
			set(e, sendUnderWay)
			return i
		}
	}
	return program.Sends
}

// fill puts the first n bytes of a send into memory and returns their place.
//
//go:nosplit
func fill(i, n uintptr) uintptr {
	base, filled := bytesOf+bytesEach*i, sendAt(i)+sendFilled
	p := word(filled)
	if p >= n {
		return base
	}
	p &^= 7
	w, first := uintptr(0), p%program.Period // a word is 8 bytes: one more than a period
	for k := uintptr(0); k < 8; k++ {
		w |= (8*i + (first+k)%program.Period) << (8 * k)
	}
	for ; p < n; p += 8 {
		set(base+p, w)
		w = w>>8 | w>>8<<56
	}
	set(filled, p)
	return base
}

// transfer reads or writes n bytes at p in some way.
//
//go:nosplit
func transfer(i, way, fd, p, n, plain, vectors, message uintptr) (number, r uintptr) {
	switch {
	case way == program.Vectors:
		v := own() + ownVectors
		for k := uintptr(0); k < 3; k++ {
			part := n / (3 - k)
			set(v+16*k, p)
			set(v+16*k+8, part)
			p += part
			n -= part
		}
		return vectors, call(vectors, fd, v, 3, 0, 0, 0)
	case way >= program.Message && word(streamAt(i)) == streamPair:
		flags := uintptr(0)
		if way == program.Whole && message == sysRecvfrom {
			flags = waitAll
		}
		return message, call(message, fd, p, n, flags, 0, 0)
	}
	return plain, call(plain, fd, p, n, 0, 0, 0)
}

//go:nosplit
func send(i, n, way, fd uintptr) uintptr {
	if word(streamAt(i)) == 0 {
		return badFile
	}
	n = min(n, program.MostBytes)
	id := takeSend()
	if id == program.Sends {
		return busy
	}
	e, p := sendAt(id), fill(id, n)
	ran, others := handled()
	number, r := transfer(i, way, fd, p, n, sysWrite, sysWritev, sysSendto)
	interruption(number, r, ran, others)
	said := r
	if failed(r) {
		said = 0
	} else if r > n {
		wrong(program.TooMuch, number, r, n)
	}
	set(e+sendReturned, said)
	set(e, sendDone)
	if arrived := word(e + sendArrived); arrived > said {
		wrong(program.Surplus, number, arrived, said)
	}
	return r
}

//go:nosplit
func receive(i, n, way uintptr) uintptr {
	e := streamAt(i)
	switch {
	case word(e) == 0:
		return badFile
	case !atomic.CompareAndSwapUint64(at(e+streamTaken), 0, uint64(own())):
		return busy
	}
	n = min(n, program.MostBytes)
	p := buffers + bytesEach*i
	ran, others := handled()
	number, r := transfer(i, way, streamFD(i)+program.ReadEnd, p, n, sysRead, sysReadv, sysRecvfrom)
	interruption(number, r, ran, others)
	if !failed(r) {
		if r > n {
			wrong(program.TooMuch, number, r, n)
		} else if word(e+streamBlind) == 0 {
			look(i, p, r, number)
		}
	}
	set(e+streamTaken, 0)
	return r
}

// look finds out which sends the n bytes at p, of stream i, are of.
//
//go:nosplit
func look(i, p, n, number uintptr) {
	for end := p + n; p < end; {
		id, place := byteAt(p)>>3, byteAt(p)&7
		e := sendAt(id)
		if id >= program.Sends || place != word(e+sendArrived)%program.Period {
			wrong(program.Disordered, number, byteAt(p), 8*id+word(e+sendArrived)%program.Period)
			return
		}
		if word(e+sendStream) == 0 {
			set(e+sendStream, i+1)
		} else if word(e+sendStream) != i+1 {
			wrong(program.Split, number, i, word(e+sendStream)-1)
			return
		}
		k := same(p, fill(id, end-p+program.Period)+place, end-p)
		p += k
		set(e+sendArrived, word(e+sendArrived)+k)
		if atomic.LoadUint64(at(e)) == sendDone && word(e+sendArrived) > word(e+sendReturned) {
			wrong(program.Surplus, number, word(e+sendArrived), word(e+sendReturned))
			return
		}
	}
}

// same is how many of the n bytes at p and q are the same from the first on.
//
//go:nosplit
func same(p, q, n uintptr) (k uintptr) {
	for k+8 <= n && word(p+k) == word(q+k) {
		k += 8
	}
	for k < n && byteAt(p+k) == byteAt(q+k) {
		k++
	}
	return k
}

// handled is how many handlers this thread has run, and how many of those that restart nothing.
//
//go:nosplit
func handled() (all, others uintptr) {
	t := record()
	return word(t + threadHandled), word(t + threadOthers)
}

// interruption looks at the result of a call that a signal may interrupt, and that is restarted where the action says so.
//
//go:nosplit
func interruption(number, r, all, others uintptr) {
	if r != interrupted {
		return
	}
	switch nowAll, nowOthers := handled(); {
	case nowAll == all:
		wrong(program.Uninterrupted, number, r, 0)
	case nowOthers == others:
		wrong(program.NotRestarted, number, r, 0)
	}
}

// timed looks at the result of one that ends at a time, with the result over then, and is not restarted.
//
//go:nosplit
func timed(number, r, over, began, ns, all uintptr) {
	now, _ := handled()
	switch {
	case r == interrupted && now == all:
		wrong(program.Uninterrupted, number, r, 0)
	case r == over && clock()-began < ns:
		wrong(program.TooEarly, number, clock()-began, ns)
	}
}

//go:nosplit
func await(p, ns, private uintptr) uintptr {
	limit := uintptr(0)
	if ns != 0 {
		limit = duration(ns)
	}
	all, others := handled()
	began := clock()
	r := futex(p, private&0x80, 0, limit, 0, 0)
	switch {
	case ns != 0:
		timed(sysFutex, r, timedOut, began, ns, all)
	case r == timedOut:
		wrong(program.Unasked, sysFutex, r, 0)
	default:
		interruption(sysFutex, r, all, others)
	}
	return r
}

// futex makes the call, and counts.
//
//go:nosplit
func futex(p, op, v, limit, q, bits uintptr) uintptr {
	add(results + program.ResultBegun)
	r := call(sysFutex, p, op, v, limit, q, bits)
	if !failed(r) {
		switch op & 0x7f {
		case 0, 9: // WAIT, WAIT_BITSET
			add(results + program.ResultWoken)
		case 1, 10: // WAKE, WAKE_BITSET
			atomic.AddUint64(at(results+program.ResultWakes), uint64(r))
		}
	}
	add(results + program.ResultSettled)
	return r
}

//go:nosplit
func sleep(ns, byClock uintptr) uintptr {
	all, _ := handled()
	began := clock()
	number, r := uintptr(sysNanosleep), uintptr(0)
	if byClock != 0 {
		number, r = sysClockSleep, call(sysClockSleep, monotonic, 0, duration(ns), 0, 0, 0)
	} else {
		r = call(sysNanosleep, duration(ns), 0, 0, 0, 0, 0)
	}
	timed(number, r, 0, began, ns, all)
	return r
}

// poll asks for the ends that have a bit in which, two a stream.
//
//go:nosplit
func poll(ns, which uintptr) uintptr {
	p, n := own()+ownPolls, uintptr(0)
	for i := uintptr(0); i < 2*program.Streams; i++ {
		if which>>i&1 != 0 && word(streamAt(i/2)) != 0 {
			set(p+8*n, streamFD(i/2)+i&1|(pollIn<<(2*(i&1)))<<32)
			n++
		}
	}
	all, _ := handled()
	began := clock()
	r := call(sysPpoll, p, n, duration(ns), 0, 8, 0)
	timed(sysPpoll, r, 0, began, ns, all)
	if !failed(r) && r > n {
		wrong(program.TooMuch, sysPpoll, r, n)
	}
	return r
}

// pollEvents is poll by an epoll instance of its own, for whole milliseconds.
//
//go:nosplit
func pollEvents(ns, which uintptr) uintptr {
	fd := call(sysEventsCreate, 0, 0, 0, 0, 0, 0)
	if failed(fd) {
		return fd
	}
	p, ms := own()+ownPolls, (ns+999_999)/1_000_000
	for i := uintptr(0); i < 2*program.Streams; i++ {
		if which>>i&1 != 0 && word(streamAt(i/2)) != 0 {
			set(p, pollIn<<(2*(i&1)))
			set(p+8, i)
			call(sysEventsControl, fd, 1, streamFD(i/2)+i&1, p, 0, 0)
		}
	}
	all, _ := handled()
	began := clock()
	r := call(sysEventsWait, fd, p, 4, ms, 0, 8)
	timed(sysEventsWait, r, 0, began, ms*1_000_000, all)
	if !failed(r) && r > 4 {
		wrong(program.TooMuch, sysEventsWait, r, 4)
	}
	call(sysClose, fd, 0, 0, 0, 0, 0)
	return r
}

// finish lets nobody wait at a stream any more, and compares when all threads have ended. If must is not 0, and nobody comes further for a
// while, a thread hangs.
//
//go:nosplit
func finish(must uintptr) uintptr {
	for i := uintptr(0); i < program.Streams; i++ {
		if word(streamAt(i)) != 0 {
			call(sysFcntl, streamFD(i)+program.ReadEnd, setFlags, nonblock, 0, 0, 0)
			call(sysFcntl, streamFD(i)+program.KeptEnd, setFlags, nonblock, 0, 0, 0)
		}
	}
	for last, still := uintptr(0), 0; ; still++ {
		ended := over()
		drain(!ended)
		if ended {
			break
		}
		if now := word(results + program.ResultCalls); now != last {
			last, still = now, 0
		}
		if still == 20 {
			if must != 0 {
				wrong(program.Stuck, 0, word(results+program.ResultDone), word(results+program.ResultLives))
			}
			return busy
		}
		call(sysNanosleep, duration(1_000_000), 0, 0, 0, 0, 0)
	}
	for i := uintptr(0); i < program.Streams; i++ {
		if e := streamAt(i); word(e+streamTaken) != 0 || word(e+streamBlind) != 0 {
			return busy // whoever had it has been ended, or nobody knows what arrived
		}
	}
	for i := uintptr(0); i < program.Sends; i++ {
		if e := sendAt(i); word(e) == sendDone && word(e+sendArrived) < word(e+sendReturned) {
			wrong(program.Lost, sysWrite, word(e+sendArrived), word(e+sendReturned))
		}
	}
	return 0
}

//go:nosplit
func over() bool {
	return atomic.LoadUint64(at(results+program.ResultDone)) >= atomic.LoadUint64(at(results+program.ResultLives))
}

// drain empties the streams, which wakes who sends, and puts a byte into each for who receives. Where the one who receives is in a handler,
// which may wait for just that, nobody can look at the bytes any more: it may have some that came before.
//
//go:nosplit
func drain(feed bool) {
	for i := uintptr(0); i < program.Streams; i++ {
		r := receive(i, program.MostBytes, 0)
		for !failed(r) && r != 0 {
			r = receive(i, program.MostBytes, 0)
		}
		if e := streamAt(i); r == busy && inHandler(word(e+streamTaken)) {
			set(e+streamBlind, 1)
			call(sysRead, streamFD(i)+program.ReadEnd, spill, program.MostBytes, 0, 0, 0)
		}
		if feed {
			send(i, 1, 0, streamFD(i)+program.KeptEnd)
		}
	}
}
