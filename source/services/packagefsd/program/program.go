// Package program is packagefsd: it serves pkg:// from /pkg of the boot archive over its pkg.*
// channels (pkg.capnp). It has no other rights.
package program

import (
	"context"
	"errors"
	"flag"
	"os"

	"nexus/source/api/pkgapi"
	"nexus/source/libs/channel"
	"nexus/source/libs/svc"
	"nexus/source/services/packagefsd/store"
)

var flags = flag.NewFlagSet("packagefsd", flag.ExitOnError)

var directory = flags.String("directory", "/pkg", "serve the packages in this `directory`")

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
	files, err := store.Open(*directory)
	if err != nil {
		return svc.Permanent(err)
	}
	var conns []*channel.Conn
	for _, d := range self.Descriptors("pkg") {
		conn, err := channel.Open(d.File)
		if err != nil {
			return err
		}
		conns = append(conns, conn)
	}
	svc.Mark("packagefsd: ready")
	if err := self.Ready(); err != nil {
		return err
	}
	channel.ServeAll(context.Background(), conns, pkgapi.Handler{Files: files})
	return errors.New("no client is left")
}
