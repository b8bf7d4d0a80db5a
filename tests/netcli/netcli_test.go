// Package netcli runs `nx net` against the services themselves: netstackd on a wire of this process, with a host at its other
// end, and fetchd. What the commands' own tests prove against a guest in memory is thereby not only that guest's word.
package netcli

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"nexus/source/api/fetchapi"
	"nexus/source/api/netapi"
	"nexus/source/api/netcli"
	"nexus/source/libs/channel"
	"nexus/source/services/fetchd/fetch"
	"nexus/source/services/netstackd/netstack"
	"nexus/source/services/netstackd/service"
	"nexus/source/services/netstackd/wiretest"
	nxnet "nexus/tools/nx-net"
)

// channels are how many calls of Open the guest has for netstackd.
const channels = 32

var (
	guestMAC = [6]byte{2, 0, 0, 0, 0, 1}
	hostMAC  = [6]byte{2, 0, 0, 0, 0, 2}
)

// guest is the services, each Open of netstackd with a channel of its own.
type guest struct {
	mu        sync.Mutex
	netstackd []*os.File
	running   sync.WaitGroup
	page      string
}

func pair(t *testing.T) (near, far *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "near"), os.NewFile(uintptr(fds[1]), "far")
}

// boot starts netstackd beside a host that is 10.0.2.2.
func boot(t *testing.T) *guest {
	t.Helper()
	cable := new(wiretest.Cable)
	host, err := wiretest.NewHost(hostMAC, netstack.Config{}, cable.Out(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(host.Close)
	if err := host.SetAddress(netstack.Ethernet, netapi.Address{Prefix: netip.MustParsePrefix("10.0.2.2/24")}); err != nil {
		t.Fatal(err)
	}
	cable.Plug(1, host.Port)
	port, err := wiretest.NewPort(guestMAC, 200, cable.Out(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Close)
	cable.Plug(0, port)

	g := new(guest)
	nicNear, nicFar := pair(t)
	nic, err := channel.Open(nicFar)
	if err != nil {
		t.Fatal(err)
	}
	g.running.Go(func() { _ = channel.Serve(nic, port) }) // ends when it is closed
	d := service.Descriptors{NIC: nicNear}
	for range channels {
		near, far := pair(t)
		g.netstackd = append(g.netstackd, near)
		d.Control = append(d.Control, far)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := service.New(ctx, service.Options{Mode: service.Stub, Bound: 20 * time.Second}, d, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, func() error { close(ready); return nil }) }()
	t.Cleanup(func() {
		for _, f := range g.netstackd {
			f.Close()
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("netstackd: %v", err)
		}
		s.Close()
		nic.Close()
		g.running.Wait()
	})
	<-ready
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/hello" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte("hello from echod\n"))
	}))
	t.Cleanup(web.Close)
	g.page = web.URL
	return g
}

// Open implements netcli.Services.
func (g *guest) Open(name string) (*channel.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch name {
	case netcli.Netstackd:
		next := g.netstackd[0]
		g.netstackd = g.netstackd[1:]
		return channel.Open(next)
	case netcli.Fetchd:
		near, far, err := channel.Pair()
		if err != nil {
			return nil, err
		}
		session := &fetch.Session{Fetcher: fetch.New(nil)}
		g.running.Go(func() {
			_ = channel.Serve(far, fetchapi.Handler{Fetches: session}) // ends with the client
			session.Close()
		})
		return near, nil
	}
	return nil, netcli.ErrNoService
}

// nx runs a command line.
func (g *guest) nx(args ...string) (status int, text string) {
	var out bytes.Buffer
	root := &cobra.Command{Use: "nx", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(nxnet.New(nxnet.Config{
		Dial: func(context.Context, string) (netcli.Services, error) { return g, nil },
		In:   strings.NewReader(""), Out: &out, Err: &out,
	}))
	root.SetArgs(append([]string{"net"}, args...))
	status = netcli.Report(root.ExecuteContext(context.Background()), netcli.WantsJSON(args), &out, &out)
	return status, out.String()
}

func TestAgainstTheServices(t *testing.T) {
	g := boot(t)
	tests := []struct {
		args   string
		status int
		says   string // a regular expression for all of it
	}{
		{"if", 0, `NAME .*\nlo +up +- +65536 +127\.0\.0\.1/8 +loopback\nvirt0 +up +02:00:00:00:00:01 +1500 +10\.0\.2\.15/24 +dhcp\nnx: net if n=2\n`},
		{"addr virt0", 0, `virt0 10\.0\.2\.15/24 gw 10\.0\.2\.2 dns 10\.0\.2\.3 dhcp lease \d+s\n`},
		{"ping 127.0.0.1 -c 2 -i 0.01", 0, `PING 127\.0\.0\.1 .*\n64 bytes from 127\.0\.0\.1: icmp_seq=1 ttl=64 time=[0-9.]+ ms\n64 bytes .*\n\n---.*\n2 packets transmitted, 2 received, 0% .*\nrtt .* ms\n`},
		{"ping 10.0.2.2 -c 1 -s 1472", 0, `PING .*\n1480 bytes from 10\.0\.2\.2: icmp_seq=1 .*\n\n.*\n1 packets transmitted, 1 received, .*\n.*\n`},
		{"arp", 0, `ADDRESS .*\n10\.0\.2\.2 +02:00:00:00:00:02 +virt0 +\w+\n`},
		{"stats icmp.echo-reply-received", 0, `nx: left out: virtionetd .*\nnx: left out: controld .*\nnetstackd\n  icmp\.echo-reply-received  3\n`},
		{"addr virt0 set 127.0.0.2/8", 3, `nx: netstackd: not an IPv4 address that can be used here: .*\n`},
		{"addr virt0 set 10.0.2.16/24 gw 10.0.2.2", 0, `virt0 10\.0\.2\.16/24 gw 10\.0\.2\.2 static\n`},
		{"ping 10.0.2.2 -c 1", 0, `(?s).* 1 received, .*`},
		{"down virt0", 0, `virt0 down\n`},
		{"ping 10.0.2.2 -c 1", 3, `nx: netstackd: .*: no way leads there: .*\n`},
		{"up virt0", 0, `virt0 up\n`},
		{"dhcp virt0", 0, `virt0 10\.0\.2\.15/24 .* dhcp lease \d+s\n`},
		{"dhcp lo", 3, `nx: netstackd: .*\n`},
		{"up eth7", 3, `nx: netstackd: no such interface: .*\n`},
		{"fetch " + g.page + "/hello", 0, `hello from echod\nnx: net fetch bytes=17\n`},
		{"fetch " + g.page + "/none", 1, `404 page not found\nnx: net fetch bytes=19\nnx: the server answered with http status 404: .*\n`},
		{"fetch http://127.0.0.1:1/", 3, `nx: fetchd: .*connection refused.*\n`},
		{"recv", 2, `nx: virtionetd cannot be opened: no such service\n`},
	}
	for _, tt := range tests {
		status, text := g.nx(strings.Fields(tt.args)...)
		if status != tt.status || !regexp.MustCompile("^"+tt.says+"$").MatchString(text) {
			t.Errorf("nx net %s: status %d, want %d\n%swant\n%s", tt.args, status, tt.status, text, tt.says)
		}
	}
	status, text := g.nx("ping", "10.0.2.99", "-c", "1", "-W", "0.1", "--json")
	var doc struct{ Transmitted, Received, Errors int }
	if err := json.Unmarshal([]byte(text), &doc); err != nil || status != 1 || doc.Transmitted != 1 || doc.Received != 0 {
		t.Errorf("ping to nobody: status %d, %v\n%s", status, err, text)
	}
}
