package syscall

import (
	"fmt"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/inet"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/unixsock"
)

// TestNumbersWithoutACall: ENOSYS, whatever the number.
func TestNumbersWithoutACall(t *testing.T) {
	p := start(t)
	for _, n := range []int{0, Limit - 1, Limit, Limit + 1, 1 << 40, -1} {
		p.want(abi.ENOSYS, "no call", n)
	}
}

// TestWaitsAreBounded: ppoll is ENOMEM when all threads together wait for as many files as they can, and leaves no waiter behind.
func TestWaitsAreBounded(t *testing.T) {
	p := start(t)
	r, _ := p.pipe()
	var list []byte
	for range maxPolled {
		list = append(list, byte(r), 0, 0, 0, byte(abi.EPOLLIN), 0, 0, 0)
	}
	fds := p.put(list...)
	var others []*caller
	for range proc.MaxPolls / maxPolled {
		o := p.second()
		if _, err, blocked := o.call(nrPpoll, fds, maxPolled, 0, 0, 8); !blocked {
			t.Fatalf("ppoll: error %d", err)
		}
		others = append(others, o)
	}
	p.want(abi.ENOMEM, "one file more", nrPpoll, fds, 1, 0, 0, 8)
	others[0].thread.Exit(0)
	if _, _, blocked := p.call(nrPpoll, fds, 1, p.timespec(1, 0), 0, 8); !blocked {
		t.Fatal("ppoll beside those that are left")
	}
	if n, err, blocked := p.woken(); n != 0 || err != abi.OK || blocked {
		t.Errorf("%d, error %d, asleep %v", n, err, blocked)
	}
	for _, o := range others[1:] {
		o.thread.Exit(0)
	}
}

// TestSilentConnects: a stream's connect waits longer for an answer than a datagram socket's, which asks nobody on the wire.
func TestSilentConnects(t *testing.T) {
	for kind, limit := range map[unixsock.Type]uint64{unixsock.Stream: inet.ConnectTimeout, unixsock.Datagram: inet.RequestTimeout} {
		t.Run(fmt.Sprint("type ", kind), func(t *testing.T) {
			n := enter(start(t))
			fd, data := n.socket(kind, 0)
			began := proc.Now()
			if _, _, blocked := n.call(nrConnect, fd, n.address(80, 10, 0, 2, 2), 16); !blocked {
				t.Fatal("connect without an answer")
			}
			_, err, blocked := n.woken()
			if took := proc.Now() - began; err != abi.ETIMEDOUT || blocked || took < limit || took > limit+second {
				t.Errorf("type %d: error %d after %d ns, want ETIMEDOUT after %d", kind, err, took, limit)
			}
			data.Release()
		})
	}
}
