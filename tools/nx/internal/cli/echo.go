package cli

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/spf13/cobra"

	"nexus/tools/nx/internal/frame"
	"nexus/tools/nx/internal/hostpeer"
	"nexus/tools/nx/internal/tap"
)

// errEcho says that the echo services were asked for where they cannot be.
var errEcho = errors.New("invalid echo service")

// echoFlags are the flags of nx echo.
type echoFlags struct {
	address  string
	udp, tcp uint16
}

func newEcho(s streams) *cobra.Command {
	f := new(echoFlags)
	cmd := &cobra.Command{
		Use:   "echo",
		Short: "Serve UDP echo and HTTP /hello until ended",
		Long: `Serve what a guest expects of its host, until ^C or SIGTERM: a UDP port that
returns each datagram as it came, and an HTTP port that answers GET /hello with
the same bytes every time.

The address must be one of this network namespace: 10.0.2.2 is there beside a
TAP (nx tap), 127.0.0.1 everywhere. Ports below 1024 need root or
CAP_NET_BIND_SERVICE.

Exit status:
  0  it served until it was ended
  2  it cannot: wrong usage, or a port or the address cannot be had`,
		Example: `  nx echo --address 127.0.0.1 --udp-port 7007`,
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := f.config()
			if err != nil {
				return err
			}
			peer, err := hostpeer.Start(config)
			if err != nil {
				return explainEcho(err)
			}
			defer peer.Close()
			if _, err := fmt.Fprintf(s.err, "nx: UDP echo at %s:%d, http://%s:%d/hello has %d bytes; ^C ends\n",
				f.address, f.udp, f.address, f.tcp, len(hostpeer.Hello)); err != nil {
				return err
			}
			<-cmd.Context().Done()
			return nil
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.address, "address", frame.Host.IP.String(), "IPv4 address to serve at")
	fs.Uint16Var(&f.udp, "udp-port", hostpeer.EchoPort, "port of the UDP echo")
	fs.Uint16Var(&f.tcp, "http-port", hostpeer.HTTPPort, "port of GET /hello")
	return cmd
}

func (f *echoFlags) config() (hostpeer.Config, error) {
	address, err := netip.ParseAddr(f.address)
	if err != nil || !address.Is4() {
		return hostpeer.Config{}, fmt.Errorf("%w: --address %q is no IPv4 address, as 10.0.2.2 is", errEcho, f.address)
	}
	if f.udp == 0 || f.tcp == 0 {
		return hostpeer.Config{}, fmt.Errorf("%w: --udp-port and --http-port are from 1 to 65535", errEcho)
	}
	return hostpeer.Config{Sockets: tap.Sockets{Address: address}, UDP: f.udp, TCP: f.tcp}, nil
}

// explainEcho adds what to do to the reason why a port could not be opened.
func explainEcho(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: end who has it (ss -tulpn tells), or choose others with --udp-port and --http-port", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w: no interface here has it; run it beside a TAP, e.g. in `nx tap`, or give one that is there, e.g. --address 127.0.0.1", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another, e.g. --udp-port 7007", err)
	}
	return err
}
