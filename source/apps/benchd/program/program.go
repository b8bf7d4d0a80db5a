// Package program is benchd: it serves the benchmark's pages on port 8080. Only the manifest of
// the benchmark starts it.
package program

import (
	"flag"
	"net"
	"os"

	"nexus/source/apps/benchd/bench"
	"nexus/source/libs/svc"
)

var flags = flag.NewFlagSet("benchd", flag.ExitOnError)

var address = flags.String("http", ":8080", "serve at this `address`")

// Main is the program.
func Main() {
	flags.Parse(os.Args[1:])
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
