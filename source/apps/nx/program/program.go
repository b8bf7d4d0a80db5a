// Package program is the guest's nx: `nx net …` over the channels that the manifest gave it, as descriptors named netstackd,
// virtionetd, fetchd and controld. What it was not given it cannot use; the error names the descriptor.
package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"nexus/source/api/netcli"
	"nexus/source/libs/channel"
	"nexus/source/libs/svc"
)

// Main is the program.
func Main() {
	self, err := svc.Open()
	if err != nil {
		svc.Fail(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	out, errs := console(os.Stdout), console(os.Stderr)
	status := netcli.Main(ctx, &netcli.Env{Services: descriptors{self}, In: os.Stdin, Out: out, Err: errs}, os.Args[1:])
	out.Flush()
	errs.Flush()
	os.Exit(status)
}

// console prints whole lines, each in one write, without control characters: the lines of two programs never mix, and
// nothing that came from a wire can forge one.
func console(to *os.File) *netcli.Lines {
	return &netcli.Lines{Emit: func(line string) {
		// A console that cannot be written leaves nowhere to say so.
		_, _ = to.WriteString(svc.Printable(line) + "\n")
	}}
}

// descriptors are the services whose channels the program was handed.
type descriptors struct{ self *svc.Service }

// Open implements netcli.Services.
func (d descriptors) Open(service string) (*channel.Conn, error) {
	file, err := d.self.Descriptor(service)
	if errors.Is(err, svc.ErrNoDescriptor) {
		return nil, fmt.Errorf("%w: %w", netcli.ErrNoService, err)
	}
	if err != nil {
		return nil, err
	}
	return channel.Open(file)
}
