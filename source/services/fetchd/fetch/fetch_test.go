package fetch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"nexus/source/api/fetchapi"
	"nexus/source/api/pkgapi"
	"nexus/source/api/refusal"
	"nexus/source/libs/channel"
)

const bound = 10 * time.Second

// files are package files in memory.
type files map[string]string

func (f files) Read(path string, offset uint64, count int, _ time.Duration) ([]byte, uint64, error) {
	text, found := f[path]
	if !found {
		return nil, 0, refusal.New(syscall.ENOENT, "no such package file")
	}
	rest := text[min(offset, uint64(len(text))):]
	return []byte(rest[:min(len(rest), count)]), uint64(len(text)), nil
}

var large = strings.Repeat("0123456789abcdef", 10000)

var packages = files{"fixtures/hello.txt": "hello, package\n", "fixtures/large": large, "fixtures/empty": ""}

// serve runs a web server with that handler and returns its URL.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

// client returns a client of fetchd over a channel.
func client(t *testing.T) *fetchapi.Client {
	t.Helper()
	server, conn, err := channel.Pair()
	if err != nil {
		t.Fatal(err)
	}
	session := &Session{Fetcher: New(packages)}
	done := make(chan error, 1)
	go func() { done <- channel.Serve(server, fetchapi.Handler{Fetches: session}) }()
	c := fetchapi.NewClient(conn)
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), <-done); err != nil {
			t.Error(err)
		}
		session.Close()
	})
	return c
}

func TestFetch(t *testing.T) {
	web := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hello":
			fmt.Fprint(w, "hello, web\n")
		case "/empty":
		case "/large":
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			fmt.Fprint(w, large)
		case "/chunked":
			for chunk := range 100 {
				fmt.Fprint(w, large[chunk*1600:][:1600])
				w.(http.Flusher).Flush()
			}
		case "/moved":
			http.Redirect(w, r, "/hello", http.StatusFound)
		case "/query":
			fmt.Fprint(w, r.URL.RawQuery)
		default:
			http.NotFound(w, r)
		}
	})
	c := client(t)
	tests := []struct {
		url    string
		status int
		body   string
	}{
		{web + "/hello", 200, "hello, web\n"},
		{web + "/hello#part", 200, "hello, web\n"},
		{web + "/query?a=b%20c", 200, "a=b%20c"},
		{web + "/empty", 200, ""},
		{web + "/large", 200, large},
		{web + "/chunked", 200, large},
		{web + "/moved", 200, "hello, web\n"},
		{web + "/none", 404, "404 page not found\n"},
		{"pkg://fixtures/hello.txt", 200, "hello, package\n"},
		{"pkg://fixtures/large", 200, large},
		{"pkg://fixtures/empty", 200, ""},
	}
	for _, tt := range tests {
		status, body, err := c.Fetch(fetchapi.Ask{URL: tt.url, Timeout: bound})
		if err != nil || status != tt.status || string(body) != tt.body {
			t.Errorf("%s: %d, %d bytes, %v; want %d, %d bytes", tt.url, status, len(body), err, tt.status, len(tt.body))
		}
		if len(tt.body) == 0 {
			continue
		}
		// A bound of exactly the body's length is kept; one less is too little.
		n := uint64(len(tt.body))
		if _, _, err := c.Fetch(fetchapi.Ask{URL: tt.url, MaxBytes: n, Timeout: bound}); err != nil {
			t.Errorf("%s with %d bytes: %v", tt.url, n, err)
		}
		if n == 1 {
			continue
		}
		if _, _, err := c.Fetch(fetchapi.Ask{URL: tt.url, MaxBytes: n - 1, Timeout: bound}); !errors.Is(err, syscall.EFBIG) {
			t.Errorf("%s with %d bytes: %v, want EFBIG", tt.url, n-1, err)
		}
	}
}

func TestRefused(t *testing.T) {
	loop := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) })
	away := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
	})
	short := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		fmt.Fprint(w, "half")
	})
	headers := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("A", strings.Repeat("a", 2*maxHeader)) })
	closed := httptest.NewServer(nil)
	nobody := closed.URL
	closed.Close()

	c := client(t)
	tests := []struct {
		url  string
		want syscall.Errno
	}{
		{loop, syscall.EIO},
		{away, syscall.EIO},
		{short, syscall.EIO},
		{headers, syscall.EIO},
		{nobody, syscall.ECONNREFUSED},
		{"pkg://fixtures/none", syscall.ENOENT},
		{"", syscall.EINVAL},
		{"hello", syscall.EINVAL},
		{"/hello", syscall.EINVAL},
		{"http://", syscall.EINVAL},
		{"http:///hello", syscall.EINVAL},
		{"http:hello", syscall.EINVAL},
		{"http://a b/", syscall.EINVAL},
		{"http://host:port/", syscall.EINVAL},
		{"http://user:secret@127.0.0.1/", syscall.EINVAL},
		{"https://127.0.0.1/", syscall.EPROTONOSUPPORT},
		{"file:///etc/passwd", syscall.EPROTONOSUPPORT},
		{"echo://hello", syscall.EPROTONOSUPPORT},
		{"pkg:", syscall.EINVAL},
		{"pkg://", syscall.EINVAL},
		{"pkg://fixtures", syscall.EINVAL},
		{"pkg://fixtures/", syscall.EINVAL},
		{"pkg:///hello.txt", syscall.EINVAL},
		{"pkg://fixtures/../secret", syscall.EINVAL},
		{"pkg://fixtures/%2e%2e/secret", syscall.EINVAL},
		{"pkg://fixtures/hello.txt?x", syscall.EINVAL},
		{"pkg://fixtures/hello.txt?", syscall.EINVAL},
		{"pkg://fixtures/hello.txt#x", syscall.EINVAL},
		{"http://127.0.0.1/" + strings.Repeat("a", MaxURL), syscall.EINVAL},
	}
	for _, tt := range tests {
		status, body, err := c.Fetch(fetchapi.Ask{URL: tt.url, Timeout: bound})
		if !errors.Is(err, tt.want) {
			t.Errorf("%.60q: %d %.40q %v, want %v", tt.url, status, body, err, tt.want)
		}
	}
}

// A server that says nothing, and one that stops in the middle, are given up
// when the client's time is over.
func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	silent := serve(t, func(w http.ResponseWriter, r *http.Request) { <-release })
	stuck := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "half")
		w.(http.Flusher).Flush()
		<-release
	})
	t.Cleanup(func() { close(release) }) // before the servers' own, which wait for their handlers
	c := client(t)
	for _, url := range []string{silent, stuck} {
		if _, _, err := c.Fetch(fetchapi.Ask{URL: url, Timeout: 50 * time.Millisecond}); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("%s: %v, want ETIMEDOUT", url, err)
		}
	}
	// The time runs on between the pieces.
	s := &Session{Fetcher: New(packages)}
	defer s.Close()
	if _, err := s.Begin(fetchapi.Ask{URL: "pkg://fixtures/large", Timeout: time.Millisecond}); err == nil {
		<-s.body.deadline.Done()
		if _, err = s.More(); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("a piece after the time: %v, want ETIMEDOUT", err)
		}
	}
}

func TestMoreWithoutBody(t *testing.T) {
	s := &Session{Fetcher: New(packages)}
	if _, err := s.More(); !errors.Is(err, syscall.ENODATA) {
		t.Errorf("before a fetch: %v", err)
	}
	if p, err := s.Begin(fetchapi.Ask{URL: "pkg://fixtures/hello.txt"}); err != nil || !p.Last {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := s.More(); !errors.Is(err, syscall.ENODATA) {
		t.Errorf("after the last piece: %v", err)
	}
}

// A new fetch drops the body at hand, and with it its connection.
func TestBeginDropsTheBodyAtHand(t *testing.T) {
	gone := make(chan struct{})
	endless := serve(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		block := bytes.Repeat([]byte("x"), 1<<20)
		for r.Context().Err() == nil {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	s := &Session{Fetcher: New(packages)}
	defer s.Close()
	if p, err := s.Begin(fetchapi.Ask{URL: endless}); err != nil || p.Last || len(p.Body) != fetchapi.MaxPiece {
		t.Fatalf("%d bytes, last %v, %v", len(p.Body), p.Last, err)
	}
	if p, err := s.Begin(fetchapi.Ask{URL: "pkg://fixtures/hello.txt"}); err != nil || string(p.Body) != "hello, package\n" {
		t.Fatalf("%q, %v", p.Body, err)
	}
	select {
	case <-gone:
	case <-time.After(bound):
		t.Error("the first connection lives on")
	}
}

// Garbage instead of HTTP is an error, not a hang and not a panic.
func TestNotHTTP(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "\x00\x01garbage\r\n\r\n")
			conn.Close()
		}
	}()
	_, _, err = client(t).Fetch(fetchapi.Ask{URL: "http://" + l.Addr().String(), Timeout: bound})
	var refused *refusal.Error
	if !errors.As(err, &refused) {
		t.Errorf("got %v, want a refusal", err)
	}
}

// Whatever resolves leads to a web server or to a package path, not to both.
func FuzzResolve(f *testing.F) {
	for _, url := range []string{"http://10.0.2.2:8080/hello", "pkg://fixtures/hello.txt", "pkg://a/%2e%2e/b",
		"http://[::1]:80/", "HTTP://host", "pkg://a:80/b", "//x", "http://x\n/", "pkg://%41/b"} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, text string) {
		to, err := resolve(text)
		if err != nil {
			return
		}
		if (to.http == "") == (to.path == "") {
			t.Fatalf("%q leads to %+v", text, to)
		}
		if to.path != "" && !pkgapi.ValidPath(to.path) {
			t.Errorf("%q leads to the path %q", text, to.path)
		}
		if to.http != "" {
			if !strings.HasPrefix(to.http, "http://") {
				t.Errorf("%q leads to %q", text, to.http)
			}
			if again, err := resolve(to.http); len(to.http) <= MaxURL && (err != nil || again != to) {
				t.Errorf("%q leads to %q, and that to %+v, %v", text, to.http, again, err)
			}
		}
	})
}
