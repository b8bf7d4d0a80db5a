// Package hello is echod's HTTP service: one page, /hello, with every size and
// every wait bounded.
package hello

import (
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/net/netutil"
)

// Body is what /hello says.
const Body = "hello from echod\n"

// Bounds of the server.
const (
	MaxConnections = 64
	maxHeader      = 8 << 10 // bytes
	headerBound    = 5 * time.Second
	requestBound   = 10 * time.Second
	idleBound      = 30 * time.Second
)

// Server returns the server. What clients do wrong is not logged: it would let
// them fill the console.
func Server() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", page) // HEAD goes with it
	return &http.Server{
		Handler:           mux,
		ErrorLog:          log.New(io.Discard, "", 0),
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: headerBound,
		ReadTimeout:       requestBound,
		WriteTimeout:      requestBound,
		IdleTimeout:       idleBound,
	}
}

// Limit bounds the connections of l; more wait in its queue.
func Limit(l net.Listener) net.Listener { return netutil.LimitListener(l, MaxConnections) }

func page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(Body)))
	_, _ = w.Write([]byte(Body)) // a client that went away is its own problem
}
