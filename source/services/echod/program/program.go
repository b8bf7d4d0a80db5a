// Package program is echod: it answers the network: UDP echo on port 7 and one HTTP page,
// /hello. It is a program of the standard library's net and net/http packages
// and knows nothing of Nexus but how a service starts.
package program

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"

	"nexus/source/libs/svc"
	"nexus/source/services/echod/hello"
	"nexus/source/services/echod/udpecho"
)

var flags = flag.NewFlagSet("echod", flag.ExitOnError)

var (
	udpAddress  = flags.String("udp", ":"+strconv.Itoa(udpecho.Port), "answer datagrams at this `address`")
	httpAddress = flags.String("http", "127.0.0.1:8080", "serve /hello at this `address`; empty for not at all")
)

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
	echo, err := listenUDP(*udpAddress)
	if err != nil {
		return err
	}
	var pages net.Listener
	if *httpAddress != "" {
		if pages, err = net.Listen("tcp4", *httpAddress); err != nil {
			return fmt.Errorf("serve /hello: %w", err)
		}
	}
	svc.Mark("echod: ready")
	svc.Mark("echod: listen udp/" + strconv.Itoa(echo.LocalAddr().(*net.UDPAddr).Port))
	if err := self.Ready(); err != nil {
		return err
	}

	ended := make(chan error, 2)
	var counters udpecho.Counters
	go func() { ended <- udpecho.Serve(echo, &counters) }()
	if pages != nil {
		go func() { ended <- hello.Server().Serve(hello.Limit(pages)) }()
	}
	return errors.Join(errors.New("a listener ended"), <-ended)
}

// listenUDP opens the socket of the echo service.
func listenUDP(address string) (*net.UDPConn, error) {
	local, err := net.ResolveUDPAddr("udp4", address)
	if err != nil {
		return nil, svc.Permanent(fmt.Errorf("echo: %w", err))
	}
	conn, err := net.ListenUDP("udp4", local)
	if err != nil {
		return nil, fmt.Errorf("echo: %w", err)
	}
	return conn, nil
}
