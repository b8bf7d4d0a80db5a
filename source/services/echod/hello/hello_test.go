package hello

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const bound = 10 * time.Second

// serve runs a server on loopback and returns its address.
func serve(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Server()
	done := make(chan error, 1)
	go func() { done <- s.Serve(Limit(l)) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func TestHello(t *testing.T) {
	address := serve(t)
	client := &http.Client{Timeout: bound, Transport: &http.Transport{DisableKeepAlives: true}}
	tests := []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/hello", 200, Body},
		{"HEAD", "/hello", 200, ""},
		{"POST", "/hello", 405, "Method Not Allowed\n"},
		{"GET", "/", 404, "404 page not found\n"},
		{"GET", "/hello/x", 404, "404 page not found\n"},
	}
	for _, tt := range tests {
		req, err := http.NewRequest(tt.method, "http://"+address+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != tt.status || string(body) != tt.body || err != nil {
			t.Errorf("%s %s: %d %q, %v; want %d %q", tt.method, tt.path, r.StatusCode, body, err, tt.status, tt.body)
		}
		if tt.status == 200 && r.ContentLength != int64(len(Body)) {
			t.Errorf("Content-Length %d, want %d", r.ContentLength, len(Body))
		}
	}
}

// Bad requests are answered or closed, within bounds, and harm nobody else.
func TestBadRequests(t *testing.T) {
	address := serve(t)
	for _, tt := range []struct{ name, text, status string }{
		{"garbage", "\x00\xff\x16\x03\r\n\r\n", "400"},
		{"no version", "GET /hello\r\n\r\n", "400"},
		{"header too large", "GET /hello HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", "431"},
		{"two lengths", "GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400"},
	} {
		conn, err := net.Dial("tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(bound)); err != nil {
			t.Fatal(err)
		}
		// The server may close before it has read everything.
		_, _ = io.WriteString(conn, tt.text)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if !strings.Contains(line, " "+tt.status+" ") {
			t.Errorf("%s: %q, %v; want %s", tt.name, line, err, tt.status)
		}
		conn.Close()
	}
}

// The bounds that no test waits for are at least there.
func TestBoundsAreSet(t *testing.T) {
	s := Server()
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("unbounded: %+v", s)
	}
}

// pipes is a listener of connections made by hand.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) { return <-p, nil }
func (p pipes) Close() error              { return nil }
func (p pipes) Addr() net.Addr            { return nil }

// A connection beyond the bound waits until another ends.
func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients, accepted := make(pipes), make(chan net.Conn, MaxConnections+1)
		limited := Limit(clients)
		go func() {
			for range MaxConnections + 1 {
				conn, err := limited.Accept()
				if err != nil {
					t.Error(err)
				}
				accepted <- conn
			}
		}()
		for range MaxConnections {
			server, _ := net.Pipe()
			clients <- server
		}
		synctest.Wait()
		last, _ := net.Pipe()
		select {
		case clients <- last:
			t.Fatalf("accepted connection %d", MaxConnections+1)
		default:
		}
		(<-accepted).Close()
		clients <- last
		synctest.Wait()
		if len(accepted) != MaxConnections {
			t.Errorf("%d connections after one ended, want %d", len(accepted), MaxConnections)
		}
	})
}
