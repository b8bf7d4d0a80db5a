// Package program is fetchd: it gets http:// and pkg:// URLs for programs that ask it over
// their fetch.* channels (fetch.capnp), each within bounds of bytes and time. At
// its start it proves that it can: over loopback, from a package, and from the
// host.
package program

import (
	"errors"
	"flag"
	"io"
	"log"
	"os"
	"sync"
	"time"

	"nexus/source/api/fetchapi"
	"nexus/source/api/pkgapi"
	"nexus/source/libs/channel"
	"nexus/source/libs/svc"
	"nexus/source/services/fetchd/fetch"
	"nexus/source/services/fetchd/smoke"
)

var flags = flag.NewFlagSet("fetchd", flag.ExitOnError)

var (
	loopURL = flags.String("loop", "http://127.0.0.1:8080/hello", "`URL` that must be got at the start")
	pkgURL  = flags.String("package", "pkg://fixtures/hello.txt", "package `URL` that must be got at the start")
	hostURL = flags.String("host", "http://10.0.2.2:8080/hello", "`URL` of the host that is tried at the start; empty for none")
)

// Main is the program.
func Main() {
	flags.Parse(os.Args[1:])
	log.SetOutput(io.Discard) // net/http logs what servers do wrong, and lets them fill the console
	svc.Fail(serve())
}

func serve() error {
	self, err := svc.Open()
	if err != nil {
		return err
	}
	file, err := self.Descriptor("packages")
	if err != nil {
		return err
	}
	packages, err := channel.Open(file)
	if err != nil {
		return err
	}
	var clients []*channel.Conn
	for _, d := range self.Descriptors("fetch") {
		conn, err := channel.Open(d.File)
		if err != nil {
			return err
		}
		clients = append(clients, conn)
	}
	fetcher := fetch.New(pkgapi.NewClient(packages))
	svc.Mark("fetchd: ready")
	if err := smoke.Run(&fetch.Session{Fetcher: fetcher}, requests(), svc.Mark); err != nil {
		return err
	}
	if err := self.Ready(); err != nil {
		return err
	}
	serveAll(clients, fetcher)
	return errors.New("no client is left")
}

// requests are what fetchd proves. Together they take less than the time the
// manifest gives it.
func requests() []smoke.Request {
	all := []smoke.Request{
		{URL: *loopURL, Timeout: 4 * time.Second, Required: true, Show: true},
		{URL: *pkgURL, Timeout: 2 * time.Second, Required: true},
	}
	if *hostURL != "" {
		all = append(all, smoke.Request{URL: *hostURL, Timeout: 3 * time.Second})
	}
	return all
}

// serveAll serves each client until it goes away, with a session of its own.
func serveAll(clients []*channel.Conn, fetcher *fetch.Fetcher) {
	var all sync.WaitGroup
	for _, conn := range clients {
		all.Go(func() {
			session := &fetch.Session{Fetcher: fetcher}
			defer session.Close()
			_ = channel.Serve(conn, fetchapi.Handler{Fetches: session}) // a client that broke its channel is its own problem
		})
	}
	all.Wait()
}
