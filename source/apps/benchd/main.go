// Command benchd serves the benchmark's pages on port 8080. Only the manifest of
// the benchmark starts it.
package main

import (
	"flag"
	"net"

	"nexus/source/apps/benchd/bench"
	"nexus/source/libs/svc"
)

var address = flag.String("http", ":8080", "serve at this `address`")

func main() {
	flag.Parse()
	svc.Fail(serve())
}

func serve() error {
	self, err := svc.Open()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp4", *address)
	if err != nil {
		return err
	}
	svc.Mark("benchd: ready")
	if err := self.Ready(); err != nil {
		return err
	}
	return bench.Server().Serve(l)
}
