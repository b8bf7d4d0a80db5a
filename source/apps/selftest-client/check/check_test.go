package check

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"nexus/source/api/fetchapi"
	"nexus/source/api/netapi"
	"nexus/source/services/echod/hello"
)

// pinger answers with what is in it.
type pinger struct {
	sent   int
	echoes []netapi.Echo
	err    error
}

func (p pinger) Ping(netip.Addr, int, time.Duration, int) (int, []netapi.Echo, error) {
	return p.sent, p.echoes, p.err
}

func TestPing(t *testing.T) {
	good := []netapi.Echo{{Sequence: 1, Size: 56}, {Sequence: 0, Size: 56}}
	tests := []struct {
		name   string
		pinger pinger
		want   error
	}{
		{"good", pinger{2, good, nil}, nil},
		{"refused", pinger{0, nil, syscall.ENETUNREACH}, syscall.ENETUNREACH},
		{"nothing", pinger{2, nil, nil}, ErrSilent},
		{"one lost", pinger{2, good[:1], nil}, ErrSilent},
		{"not sent", pinger{1, good, nil}, ErrSilent},
		{"cut", pinger{2, []netapi.Echo{{Sequence: 0, Size: 56}, {Sequence: 1, Size: 55}}, nil}, ErrWrong},
		{"twice", pinger{2, []netapi.Echo{{Sequence: 1, Size: 56}, {Sequence: 1, Size: 56}}, nil}, ErrWrong},
	}
	for _, tt := range tests {
		if err := Ping(tt.pinger, netip.MustParseAddr("127.0.0.1")); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// fetcher answers with what is in it.
type fetcher struct {
	status int
	body   string
	err    error
}

func (f fetcher) Fetch(ask fetchapi.Ask) (int, []byte, error) {
	if ask.MaxBytes == 0 || ask.Timeout == 0 {
		return 0, nil, errors.New("asked without bounds")
	}
	return f.status, []byte(f.body), f.err
}

func TestPage(t *testing.T) {
	tests := []struct {
		fetcher fetcher
		want    error
	}{
		{fetcher{200, "hello\n", nil}, nil},
		{fetcher{404, "hello\n", nil}, ErrWrong},
		{fetcher{200, "hello", nil}, ErrWrong},
		{fetcher{0, "", syscall.ECONNREFUSED}, syscall.ECONNREFUSED},
	}
	for _, tt := range tests {
		if err := Page(tt.fetcher, "http://x/", "hello\n"); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v, want %v", tt.fetcher, err, tt.want)
		}
	}
}

// What echod says is what the self-test wants of it.
func TestEchodSaysWhatIsWanted(t *testing.T) {
	if LoopBody != hello.Body {
		t.Errorf("want %q, echod says %q", LoopBody, hello.Body)
	}
}

// wire is a connected socket whose n-th write answers with answers[n].
type wire struct {
	net.Conn
	answers  []func(sent []byte) ([]byte, error)
	writes   int
	deadline time.Time
	got      []byte
	err      error
}

func (w *wire) SetDeadline(t time.Time) error { w.deadline = t; return nil }
func (w *wire) RemoteAddr() net.Addr          { return &net.UDPAddr{IP: net.IPv4(10, 0, 2, 2), Port: 7} }

func (w *wire) Write(b []byte) (int, error) {
	w.got, w.err = nil, os.ErrDeadlineExceeded
	if w.writes < len(w.answers) {
		w.got, w.err = w.answers[w.writes](b)
	}
	w.writes++
	return len(b), nil
}

func (w *wire) Read(b []byte) (int, error) {
	if errors.Is(w.err, os.ErrDeadlineExceeded) {
		time.Sleep(time.Until(w.deadline)) // of the test's bubble, not of the wall
	}
	return copy(b, w.got), w.err
}

func TestUDPEcho(t *testing.T) {
	same := func(b []byte) ([]byte, error) { return b, nil }
	lost := func([]byte) ([]byte, error) { return nil, os.ErrDeadlineExceeded }
	tests := []struct {
		name    string
		answers []func([]byte) ([]byte, error)
		want    error
		writes  int
		took    time.Duration
	}{
		{"at once", []func([]byte) ([]byte, error){same}, nil, 1, 0},
		{"late", []func([]byte) ([]byte, error){lost, lost, same}, nil, 3, 2 * echoBound},
		{"never", nil, ErrSilent, echoTries, echoTries * echoBound},
		{"refused", []func([]byte) ([]byte, error){func([]byte) ([]byte, error) { return nil, syscall.ECONNREFUSED }}, syscall.ECONNREFUSED, 1, 0},
		{"down", []func([]byte) ([]byte, error){func([]byte) ([]byte, error) { return nil, syscall.ENETDOWN }}, syscall.ENETDOWN, 1, 0},
		{"cut", []func([]byte) ([]byte, error){func(b []byte) ([]byte, error) { return b[:len(b)-1], nil }}, ErrWrong, 1, 0},
		{"longer", []func([]byte) ([]byte, error){func(b []byte) ([]byte, error) { return append(b[:len(b):len(b)], 0), nil }}, ErrWrong, 1, 0},
		{"changed", []func([]byte) ([]byte, error){func(b []byte) ([]byte, error) {
			return append(append([]byte{}, b[:255]...), b[255]^1), nil
		}}, ErrWrong, 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, start := &wire{answers: tt.answers}, time.Now()
				err := UDPEcho(w)
				if !errors.Is(err, tt.want) || w.writes != tt.writes || time.Since(start) != tt.took {
					t.Errorf("%v after %d datagrams and %v; want %v, %d, %v", err, w.writes, time.Since(start), tt.want, tt.writes, tt.took)
				}
				if err != nil && !strings.Contains(err.Error(), "10.0.2.2:7") {
					t.Errorf("%v does not name the host", err)
				}
			})
		})
	}
}
