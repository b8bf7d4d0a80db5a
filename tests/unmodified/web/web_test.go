// Package web moves data through the standard library's HTTP server and client over loopback TCP.
package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

const size = 16 << 20

// body returns n bytes that only their seed decides.
func body(seed, n int) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{byte(seed)}), int64(n))
}

// serve starts a server and returns its address. GET /bytes?seed=S&n=N answers with that body; POST /sum answers with
// the request's length and SHA-256.
func serve(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /bytes", func(w http.ResponseWriter, r *http.Request) {
		seed, _ := strconv.Atoi(r.FormValue("seed"))
		n, _ := strconv.Atoi(r.FormValue("n"))
		io.Copy(w, body(seed, n))
	})
	mux.HandleFunc("POST /sum", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%d %x %v", n, sum.Sum(nil), err)
	})
	server := &http.Server{Handler: mux}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-done; err != http.ErrServerClosed {
			t.Errorf("serve: %v", err)
		}
	})
	return "http://" + listener.Addr().String()
}

func client(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 5 * time.Minute}
}

func digest(t *testing.T, r io.Reader) (n int64, sum string) {
	t.Helper()
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		t.Errorf("after %d bytes: %v", n, err)
	}
	return n, fmt.Sprintf("%x", h.Sum(nil))
}

func TestDownload(t *testing.T) {
	response, err := client(t).Get(fmt.Sprintf("%s/bytes?seed=1&n=%d", serve(t), size))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	n, sum := digest(t, response.Body)
	if _, want := digest(t, body(1, size)); n != size || sum != want {
		t.Errorf("%d bytes, sum %s; want %d, %s", n, sum, size, want)
	}
}

func TestUpload(t *testing.T) {
	response, err := client(t).Post(serve(t)+"/sum", "application/octet-stream", body(2, size))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, sum := digest(t, body(2, size))
	if want := fmt.Sprintf("%d %s <nil>", size, sum); string(answer) != want {
		t.Errorf("got %s, want %s", answer, want)
	}
}

// TestTogether has several clients at work at once, each on connections that it keeps.
func TestTogether(t *testing.T) {
	address := serve(t)
	var clients sync.WaitGroup
	for i := range 8 {
		c := client(t)
		clients.Go(func() {
			for round := range 8 {
				n := 1000*i + 77777*round
				response, err := c.Get(fmt.Sprintf("%s/bytes?seed=%d&n=%d", address, i, n))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(response.Body)
				response.Body.Close()
				want, _ := io.ReadAll(body(i, n))
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("client %d, round %d: %d bytes, want %d; %v", i, round, len(got), n, err)
				}
			}
		})
	}
	clients.Wait()
}
