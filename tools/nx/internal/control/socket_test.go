package control

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"nexus/source/api/refusal"
)

func TestSocketPaths(t *testing.T) {
	directory := t.TempDir()
	long := filepath.Join(directory, strings.Repeat("x", maxPath+1-len(directory)-1))
	port := func() Port { near, _ := net.Pipe(); return near }
	if _, err := Listen(long, port()); !errors.Is(err, ErrPathTooLong) {
		t.Errorf("Listen at %d bytes: %v", len(long), err)
	}
	if _, err := Dial(context.Background(), long).Open("a"); !errors.Is(err, ErrPathTooLong) {
		t.Errorf("Open at %d bytes: %v", len(long), err)
	}
	m, err := Listen(long[:maxPath], port())
	if err != nil {
		t.Fatalf("Listen at %d bytes: %v", maxPath, err)
	}
	defer m.end()
	if _, err := Listen(long[:maxPath], port()); !errors.Is(err, ErrInUse) {
		t.Errorf("second Listen: %v", err)
	}
	file := filepath.Join(directory, "file")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file, port()); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("Listen at a file: %v", err)
	}
	if _, err := Listen(filepath.Join(directory, "no", "s"), port()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Listen without a directory: %v", err)
	}
}

// A runner that was killed leaves its socket behind; the next one takes its place.
func TestStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix(network, &net.UnixAddr{Name: path, Net: network})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := Dial(context.Background(), path).Open("netstackd"); !errors.Is(err, ErrNoGuest) {
		t.Errorf("Open at a stale socket: %v", err)
	}
	near, far := net.Pipe()
	m, err := Listen(path, near)
	if err != nil {
		t.Fatal(err)
	}
	far.Close()
	if err := m.Serve(context.Background()); err != nil {
		t.Error(err)
	}
}

// impostor answers one hello with datagram.
func impostor(t *testing.T, datagram string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix(network, &net.UnixAddr{Name: path, Net: network})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 100))
		if datagram != "" {
			_, _ = conn.Write([]byte(datagram))
		}
		_, _ = conn.Read(make([]byte, 100)) // until the client goes
	}()
	return path
}

func TestOpenFromAnImpostor(t *testing.T) {
	for _, answer := range []string{"ok\n", "OK", "ERR\n", "ERR x y\n", "ERR 70000 y\n", "ERR 1 y", "OK\nOK\n"} {
		var refused *refusal.Error
		_, err := Dial(context.Background(), impostor(t, answer)).Open("netstackd")
		if !errors.As(err, &refused) || refused.Errno != syscall.EPROTO {
			t.Errorf("answer %q: %v, want EPROTO", answer, err)
		}
	}
}

func TestOpenEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	path := impostor(t, "")
	got := make(chan error, 1)
	go func() { _, err := Dial(ctx, path).Open("netstackd"); got <- err }()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzHello(f *testing.F) {
	for _, seed := range []string{"OPEN netstackd\n", "OPEN \n", "OPEN a\nb\n", "OPEN ..\n", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		service, ok := parseHello(datagram)
		if ok && string(hello(service)) != string(datagram) {
			t.Errorf("%q names %q", datagram, service)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{"OK\n", "ERR 2 no service\n", "ERR 65536 x\n", "ERR  \n", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		refused, ok := parseAnswer(datagram)
		if !ok || refused == nil {
			return
		}
		again, ok := parseAnswer(refused.line())
		if !ok || again.errno != refused.errno || len(refused.text) < 100 && again.text != refused.text {
			t.Errorf("%q is %+v, then %+v", datagram, refused, again)
		}
	})
}
