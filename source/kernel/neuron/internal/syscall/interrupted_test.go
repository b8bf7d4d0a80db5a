package syscall

import (
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/unixsock"
)

const (
	nrPpoll, nrWaitid, nrNanosleep = 73, 95, 101
	nrSigreturn                    = 139

	signalNumber = 10
	handlerPC    = 0x7000
	noDefer      = 0x40000000
	capacity     = 64 << 10 // of a pipe
)

// handled makes the thread enter the handler of a signal that comes now.
func (p *caller) handled() {
	p.t.Helper()
	*p.thread.Process.Action(signalNumber) = proc.Action{Handler: handlerPC, Flags: noDefer}
	p.thread.Signal(signalNumber)
	if proc.Schedule(p.hart) != &p.thread.Context || p.thread.X[arch.PC] != handlerPC {
		p.t.Fatalf("at %#x, want the handler", p.thread.X[arch.PC])
	}
}

// leaveHandler returns from it and gives the result of the call that it interrupted.
func (p *caller) leaveHandler() int64 {
	p.thread.X[arch.A7] = nrSigreturn
	Handle(p.thread)
	return int64(p.thread.X[arch.A0])
}

// TestHandlerCalls: calls of a handler have nothing of the call that it interrupted.
func TestHandlerCalls(t *testing.T) {
	p := start(t)
	r, w := p.pipe()
	r2, w2 := p.pipe()
	big := p.room(2 * capacity)
	if _, _, blocked := p.call(nrWrite, w, big, 2*capacity); !blocked {
		t.Fatal("a pipe without an end")
	}
	p.handled()
	if n := p.must(nrWrite, w2, big, 1); n != 1 {
		t.Errorf("the handler's write of a byte: %d", n)
	}
	if got := p.leaveHandler(); got != capacity {
		t.Errorf("the write: %d, want what the pipe has taken, %d", got, capacity)
	}
	// ppoll on both with a time, woken for one.
	fds := p.put(byte(r2), 0, 0, 0, 4, 0, 0, 0, byte(w), 0, 0, 0, 4, 0, 0, 0)
	second := p.put(60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	p.must(nrRead, r2, big, 1)
	if _, _, blocked := p.call(nrPpoll, fds, 2, second, 0, 0); !blocked {
		t.Fatal("ppoll did not sleep")
	}
	p.handled()
	if _, _, blocked := p.call(nrRead, r2, big, 1); !blocked {
		t.Fatal("read of an empty pipe")
	}
	if p.thread.Expired(-1) {
		t.Error("the read has the deadline of the ppoll")
	}
	p.handled()
	if got := p.leaveHandler(); got != -int64(abi.EINTR) {
		t.Errorf("the read: %d, want EINTR", got)
	}
	if got := p.leaveHandler(); got != -int64(abi.EINTR) {
		t.Errorf("ppoll: %d, want EINTR", got)
	}
	for _, fd := range []uint64{r, w, r2, w2} {
		p.must(nrClose, fd)
	}
}

// TestReplacedFile: a call that sleeps goes on in the file that it began with, whatever the descriptor means meanwhile.
func TestReplacedFile(t *testing.T) {
	p := start(t)
	r, w := p.pipe()
	r2, w2 := p.pipe()
	big := p.room(2 * capacity)
	if _, _, blocked := p.call(nrWrite, w, big, capacity+1000); !blocked {
		t.Fatal("a pipe without an end")
	}
	other := p.second()
	other.must(nrDup3, w2, w, 0)
	other.must(nrRead, r, big, capacity)
	proc.Schedule(p.hart)
	if n, err, blocked := p.again(); n != capacity+1000 || err != abi.OK || blocked {
		t.Errorf("the write: %d, %v, asleep %v", n, err, blocked)
	}
	if n := p.must(nrRead, r, big, capacity); n != 1000 {
		t.Errorf("%d bytes in the old pipe, want 1000", n)
	}
	if n := p.must(nrRead, r, big, 1); n != 0 {
		t.Errorf("the old pipe: %d bytes, want its end, for nobody writes to it any more", n)
	}
	other.thread.Exit(0)
	for _, fd := range []uint64{r, w, r2, w2} {
		p.must(nrClose, fd)
	}
}

// second is another thread of the process, which makes its calls when the test says so.
func (p *caller) second() *caller {
	u, err := p.thread.Clone(p.thread.Process)
	if err != abi.OK {
		p.t.Fatal(err)
	}
	return &caller{p.t, p.hart, u, p.free}
}

// TestRightsOfAWaitingMessage: the descriptors of a message that waits for room are those of when it was sent.
func TestRightsOfAWaitingMessage(t *testing.T) {
	p := start(t)
	at := p.room(8)
	p.must(nrSocketpair, 1, uint64(unixsock.Stream), 0, at)
	s, peer := uint64(p.word(at)), uint64(p.word(at+4))
	r, w := p.pipe()
	big := p.room(64 << 10)
	for {
		if n, err, _ := p.call(nrSendto, s, big, 64<<10, unixsock.MSG_DONTWAIT, 0, 0); err == abi.EAGAIN || n < 64<<10 {
			break
		}
	}
	for {
		if _, err, _ := p.call(nrSendto, s, big, 1, unixsock.MSG_DONTWAIT, 0, 0); err == abi.EAGAIN {
			break
		}
	}
	rights := p.put(20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, byte(w), 0, 0, 0)
	if _, _, blocked := p.call(nrSendmsg, s, p.message(big, 1, rights, 20), 0); !blocked {
		t.Fatal("a socket without an end")
	}
	other := p.second()
	other.must(nrClose, w)
	for {
		if n, err, _ := other.call(nrRecvfrom, peer, big, 64<<10, unixsock.MSG_DONTWAIT, 0, 0); err == abi.EAGAIN || n == 0 {
			break
		}
	}
	proc.Schedule(p.hart)
	if n, err, blocked := p.again(); n != 1 || err != abi.OK || blocked {
		t.Fatalf("sendmsg: %d, %v, asleep %v", n, err, blocked)
	}
	if _, err, blocked := p.call(nrRead, r, big, 1); !blocked {
		t.Errorf("the pipe has no writer: %v", err)
	}
	p.handled()
	p.leaveHandler()
	other.thread.Exit(0)
	p.must(nrClose, s)
	p.must(nrClose, peer)
	p.must(nrClose, r)
}

// TestSleepTellsTheRest: nanosleep that a handler ends, and clocks that nobody can sleep by.
func TestSleepTellsTheRest(t *testing.T) {
	p := start(t)
	minute := p.put(60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	left := p.room(16)
	if _, _, blocked := p.call(nrNanosleep, minute, left); !blocked {
		t.Fatal("nanosleep did not sleep")
	}
	arch.Host.Time += proc.Ticks(20 * second)
	p.handled()
	if got := p.leaveHandler(); got != -int64(abi.EINTR) || p.word(left) != 39 && p.word(left) != 40 {
		t.Errorf("nanosleep: %d, %d s remain, want EINTR and 40", got, p.word(left))
	}
	for clock, want := range map[uint64]abi.Errno{clockProcess: abi.EOPNOTSUPP, clockThread: abi.EOPNOTSUPP, clockMonotonicRaw: abi.EOPNOTSUPP,
		clockRealtimeCoarse: abi.EOPNOTSUPP, 99: abi.EINVAL} {
		if _, err, _ := p.call(115, clock, 0, minute, 0); err != want {
			t.Errorf("clock %d: %v, want %v", clock, err, want)
		}
	}
	for _, id := range []uint64{0, 1<<64 - 5} {
		if _, err, _ := p.call(nrWaitid, waitPid, id, 0, waitExited|waitNoHang, 0); err != abi.EINVAL {
			t.Errorf("waitid for process %d: %v, want EINVAL", int64(id), err)
		}
	}
}
