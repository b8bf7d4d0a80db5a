// Package program is selftest-client: it proves the network from inside the system: each
// SELFTEST: line is printed when its fact was seen, or FAILED with what to do.
// With -outside it only checks that a program outside the socket namespace has
// no network.
package program

import (
	"errors"
	"flag"
	"net"
	"net/netip"
	"os"

	"nexus/source/api/fetchapi"
	"nexus/source/api/netapi"
	"nexus/source/apps/selftest-client/check"
	"nexus/source/apps/selftest-client/refused"
	"nexus/source/libs/channel"
	"nexus/source/libs/svc"
)

var flags = flag.NewFlagSet("selftest-client", flag.ExitOnError)

var (
	loopURL = flags.String("loop", "http://127.0.0.1:8080/hello", "echod's `URL`")
	hostURL = flags.String("host", "http://10.0.2.2:8080/hello", "the host's `URL`")
	echo    = flags.String("echo", "10.0.2.2:7", "the host's UDP echo `address`")
	outside = flags.Bool("outside", false, "check only that there is no network here")
)

// Main is the program.
func Main() {
	flags.Parse(os.Args[1:])
	self, err := svc.Open()
	if err != nil {
		svc.Fail(err)
	}
	if *outside {
		svc.Fail(rights(self, append(refused.Everywhere(), refused.Outside()...)))
	}
	err = errors.Join(network(self), rights(self, refused.Everywhere()))
	if errors.Is(err, errFailed) {
		err = errFailed
	}
	svc.Fail(err)
}

// network makes every check, also after one failed.
func network(self *svc.Service) error {
	stack, err := open(self, "netstackd")
	if err != nil {
		return err
	}
	fetchd, err := open(self, "fetchd")
	if err != nil {
		return err
	}
	fetcher := fetchapi.NewClient(fetchd)
	return errors.Join(
		report("net lo ping", check.Ping(netapi.NewClient(stack), netip.MustParseAddr("127.0.0.1"))),
		report("net fetch echo", errors.Join(
			check.Page(fetcher, *loopURL, check.LoopBody),
			check.Page(fetcher, *hostURL, check.HostBody))),
		report("net udp echo", udpEcho()),
	)
}

func udpEcho() error {
	conn, err := net.Dial("udp4", *echo)
	if err != nil {
		return err
	}
	defer conn.Close()
	return check.UDPEcho(conn)
}

// rights makes the attempts and tells nexus-init how many were refused.
func rights(self *svc.Service, attempts []refused.Attempt) error {
	n, err := refused.Check(attempts)
	if err != nil {
		return report("rights", err)
	}
	return self.Refused(n)
}

// open makes a channel of a descriptor.
func open(self *svc.Service, name string) (*channel.Conn, error) {
	file, err := self.Descriptor(name)
	if err != nil {
		return nil, err
	}
	return channel.Open(file)
}

// errFailed is the end of a self-test that has said on the console what failed.
var errFailed = errors.New("a check failed, see its SELFTEST line")

// report prints how a check went.
func report(what string, err error) error {
	if err != nil {
		svc.Mark("SELFTEST: " + what + " FAILED: " + err.Error())
		return errFailed
	}
	svc.Mark("SELFTEST: " + what + " ok")
	return nil
}
