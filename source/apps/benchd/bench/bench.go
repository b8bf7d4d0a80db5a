// Package bench is the web server that the benchmark measures: a small page, a
// body of any size, and a download of somebody else's. It is a program of
// net/http and would be the same on any system.
package bench

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"time"
)

// Bounds of what a request may ask for.
const (
	MaxBytes   = 4 << 30 // of a body
	fetchBound = 10 * time.Minute
	maxHeader  = 16 << 10 // bytes
)

// Hello is the body of /hello.
const Hello = "hello\n"

// Server returns the server: /hello, /bytes?n=N and /fetch?url=U.
func Server() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", hello)
	mux.HandleFunc("GET /bytes", bytes)
	mux.Handle("GET /fetch", fetch{&http.Client{Transport: &http.Transport{
		DisableKeepAlives:  true, // each download opens its connection, and the measurement counts it
		DisableCompression: true,
	}}})
	return &http.Server{
		Handler:           mux,
		ErrorLog:          log.New(io.Discard, "", 0), // clients do not fill the console
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      fetchBound + time.Minute, // from the request to the end of the answer
		IdleTimeout:       time.Minute,
	}
}

func hello(w http.ResponseWriter, _ *http.Request) {
	plain(w, int64(len(Hello)))
	_, _ = io.WriteString(w, Hello) // a client that went away is its own problem
}

// bytes answers with the first n bytes of the pattern.
func bytes(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.URL.Query().Get("n"), 10, 64)
	if err != nil || n < 0 || n > MaxBytes {
		http.Error(w, fmt.Sprintf("want n=BYTES from 0 to %d", int64(MaxBytes)), http.StatusBadRequest)
		return
	}
	plain(w, n)
	_ = writePattern(w, n)
}

// plain announces a body of that many bytes, so that it is not chunked.
func plain(w http.ResponseWriter, bytes int64) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(bytes, 10))
}

// fetch downloads a URL and says how long it took.
type fetch struct{ client *http.Client }

func (f fetch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), fetchBound)
	defer cancel()
	start := time.Now()
	n, err := f.download(ctx, r.URL.Query().Get("url"))
	seconds := time.Since(start).Seconds()
	if err != nil {
		http.Error(w, fmt.Sprintf("after %d bytes: %v", n, err), http.StatusBadGateway)
		return
	}
	text := fmt.Sprintf("bytes=%d seconds=%.6f\n", n, seconds)
	plain(w, int64(len(text)))
	_, _ = io.WriteString(w, text)
}

// download gets url and counts the bytes of its body.
func (f fetch) download(ctx context.Context, url string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	reply, err := f.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("status %s", reply.Status)
	}
	n, err := io.Copy(io.Discard, io.LimitReader(reply.Body, MaxBytes+1))
	if err == nil && n > MaxBytes {
		err = fmt.Errorf("more than %d bytes", int64(MaxBytes))
	}
	return n, err
}
