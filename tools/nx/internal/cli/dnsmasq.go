package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"nexus/tools/nx/internal/frame"
	"nexus/tools/nx/internal/tap"
)

// dnsmasqBound is how long dnsmasq may take to say that it serves.
const dnsmasqBound = 10 * time.Second

var (
	errNoDnsmasq = errors.New("no dnsmasq; apt-get install dnsmasq-base")
	errDnsmasq   = errors.New("dnsmasq does not serve")
)

var dnsmasqVersion = regexp.MustCompile(`^Dnsmasq version ([0-9][^ ]*)`)

// findDnsmasq gives dnsmasq's path and version.
func findDnsmasq(ctx context.Context) (path, version string, err error) {
	path, err = exec.LookPath("dnsmasq")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/dnsmasq") // a user's PATH may lack it
	}
	if err != nil {
		return "", "", errNoDnsmasq
	}
	ctx, cancel := context.WithTimeout(ctx, dnsmasqBound)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	match := dnsmasqVersion.FindSubmatch(out)
	if err != nil || match == nil {
		return "", "", fmt.Errorf("%w: %s --version: %w", errNoDnsmasq, path, err)
	}
	return path, string(match[1]), nil
}

// newDnsmasq is for nx postflight: in a network namespace made for it, nx boots on a TAP
// where dnsmasq leases.
func newDnsmasq(s streams) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:    "dnsmasq -- BOOT-FLAG...",
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := tap.Setup(tap.Name()); err != nil {
				return err
			}
			stop, err := startDnsmasq(path)
			if err != nil {
				return err
			}
			defer stop()
			child := exec.CommandContext(cmd.Context(), "/proc/self/exe",
				append([]string{"boot", "--json", "--forget", "--here", "--no-lease"}, args...)...)
			child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
			child.WaitDelay = stopBound
			child.Stdout, child.Stderr = s.out, s.err
			err = tap.RunHere(child)
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.ExitCode() > 0 {
				return statusError(exit.ExitCode())
			}
			return err
		},
	}
	cmd.Flags().StringVar(&path, "dnsmasq", "", "dnsmasq's path")
	return cmd
}

// startDnsmasq starts a server of the guest's lease on the TAP and waits until it
// serves. stop ends it and waits for its end.
func startDnsmasq(path string) (stop func(), err error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, "--keep-in-foreground", "--conf-file=/dev/null", "--port=0",
		"--interface="+tap.Name(), "--bind-interfaces", "--dhcp-authoritative", "--no-ping",
		fmt.Sprintf("--dhcp-range=%[1]v,%[1]v,1h", frame.Guest.IP),
		fmt.Sprintf("--dhcp-option=3,%v", frame.Host.IP), fmt.Sprintf("--dhcp-option=6,%v", frame.DNS),
		"--leasefile-ro", "--user=", "--pid-file=", "--log-facility=-")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopBound
	cmd.Stderr = write
	ended := make(chan error, 1)
	// tap.RunHere ties its life to this process's.
	go func() {
		err := tap.RunHere(cmd)
		write.Close()
		ended <- err
	}()
	stop = func() {
		cancel()
		<-ended
	}
	serves, words := make(chan struct{}), make(chan string, 1)
	go func() { words <- dnsmasqWords(read, serves) }()
	select {
	case <-serves:
		return stop, nil
	case text := <-words:
		cancel()
		return nil, fmt.Errorf("%w: %w: %s", errDnsmasq, <-ended, text)
	case <-time.After(dnsmasqBound):
		stop()
		return nil, fmt.Errorf("%w: it says nothing for %v", errDnsmasq, dnsmasqBound)
	}
}

// dnsmasqWords reads what dnsmasq says to its end, closes serves once it says that it has
// a range to lease, and gives the last line.
func dnsmasqWords(in io.ReadCloser, serves chan<- struct{}) (last string) {
	defer in.Close()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		last = lines.Text()
		if serves != nil && strings.Contains(last, "DHCP, IP range") {
			close(serves)
			serves = nil
		}
	}
	// A line beyond all bounds must not stop the writer.
	_, _ = io.Copy(io.Discard, in)
	return last
}
