package cli

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nexus/source/libs/control"
	"nexus/tools/nx/internal/frame"
	"nexus/tools/nx/internal/hostpeer"
	"nexus/tools/nx/internal/wire"
)

// fakeQEMU is what the tests execute for QEMU. The file given as -kernel holds
// the name of the scenario to play.
func fakeQEMU(args []string) int {
	if len(args) == 1 && args[0] == "--version" {
		fmt.Println("QEMU emulator version 8.1.2 (fake)")
		return 0
	}
	kernel, err := os.ReadFile(argument(args, "-kernel"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if path := os.Getenv("NX_TEST_PIDFILE"); path != "" {
		if err := os.WriteFile(path, fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	fmt.Print("\r\nOpenSBI v0 (fake)\r\n")
	switch scenario := strings.TrimSpace(string(kernel)); scenario {
	case "good":
		return goodGuest(args, true)
	case "moody": // a line that is never the same
		say(time.Now().String())
		return goodGuest(args, true)
	case "mute":
		return goodGuest(args, false)
	case "liar":
		say(deterministic...)
		say(untilHeard...)
		say("virtionetd: rx frame len=60")
		say(untilFetched...)
		say(untilEchoed...)
		say(untilDone...)
		say(atTheEnd)
		return 0
	case "panic":
		say(append(deterministic, "neuron: fatal: test")...)
		select {}
	case "failed":
		say("neuron: power off, init exited with status 1")
		return 1
	case "silent":
		select {}
	case "flood":
		for {
			say(strings.Repeat("x", 1000))
		}
	case "no-bios":
		fmt.Fprintln(os.Stderr, "qemu-system-riscv64: Unable to find the RISC-V BIOS \"opensbi\"")
		return 1
	case "garbage":
		conn, err := net.FileConn(os.NewFile(3, "wire"))
		if err != nil {
			panic(err)
		}
		conn.Write(bytes.Repeat([]byte{0xff}, 100))
		say("neuron: entropy fixed, deterministic profile")
		return 0
	default:
		panic("no scenario " + scenario)
	}
}

// argument is the word after name.
func argument(args []string, name string) string {
	for i, a := range args[:len(args)-1] {
		if a == name {
			return args[i+1]
		}
	}
	return ""
}

func say(lines ...string) {
	for _, l := range lines {
		fmt.Print(l + "\r\n")
	}
}

// What a guest prints first in the deterministic profile.
var deterministic = []string{"neuron: entropy fixed, deterministic profile", "nexus-init: profile deterministic"}

// What a good guest prints then: until it first hears the host, until it has fetched
// the host's page once and twice, until its datagram came back, and at its end.
var (
	untilHeard = []string{
		"nexus-init: start virtionetd", "virtionetd: ready",
		"virtionetd: mmio=0x10002000 irq=2 mac=02:00:00:00:00:01 mtu=1500", "nexus-init: virtionetd ready",
		"nexus-init: start netstackd", "netstackd: ready", "netstackd: lo up", "netstackd: virt0 dhcp addr=10.0.2.15",
		"nexus-init: netstackd ready", "nexus-init: start packagefsd", "packagefsd: ready", "nexus-init: packagefsd ready",
		"nexus-init: start echod", "echod: ready", "echod: listen udp/7", "nexus-init: echod ready",
		"nexus-init: start fetchd", "fetchd: ready",
		"fetchd: get http://127.0.0.1:8080/hello ok bytes=17",
		"fetchd: get pkg://fixtures/hello.txt ok bytes=5",
	}
	untilFetched = []string{
		"fetchd: get http://10.0.2.2:8080/hello ok bytes=20", "nexus-init: fetchd ready",
		"nexus-init: start selftest-client", "SELFTEST: net lo ping ok",
	}
	untilEchoed = []string{"SELFTEST: net fetch echo ok"}
	untilDone   = []string{
		"netstackd: recv arp who-has", "SELFTEST: net udp echo ok", "nexus-init: selftest-client done",
		"nexus-init: start selftest-rights", "nexus-init: selftest-rights done",
		"nexus-init: start nx", "nx: net if n=2", "nexus-init: nx done",
		"nexus-init: start controld", "controld: ready", "nexus-init: controld ready",
		"nexus-init: rights ok n=1",
		"nexus-init: memory nexus-init rss=900 KiB shared=800 KiB", "nexus-init: done",
	}
	atTheEnd = "neuron: power off, init exited with status 0"
)

// firmwareLines is how many lines the fake's firmware prints.
const firmwareLines = 2

// goodLines is how many lines a good guest prints, each a marker: those, the first frame's and atTheEnd.
var goodLines = len(deterministic) + len(untilHeard) + len(untilFetched) + len(untilEchoed) + len(untilDone) + 2

// goodGuest does what it says, on whichever back end it is given. With
// echo=false it has no echo service.
func goodGuest(args []string, echo bool) int {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	link, err := openLink(argument(args, "-netdev"))
	check(err)
	heard := make(chan int, 1) // the length of the first frame
	asked := make(chan struct{}, 1)
	link.Watch(func(raw []byte) {
		select {
		case heard <- len(raw):
		default:
		}
		if s := frame.Describe(raw); s.Kind == frame.ARPRequestKind && s.DstIP == frame.Guest.IP {
			select {
			case asked <- struct{}{}:
			default:
			}
		}
	})
	go link.Run()
	stack, err := wire.NewStack(link, frame.Guest)
	check(err)
	if echo {
		conn, err := stack.ListenPacket(hostpeer.EchoPort)
		check(err)
		go echoForever(conn)
	}
	if strings.Contains(argument(args, "-append"), "nexus.profile=default") {
		say("neuron: entropy seeded", "nexus-init: profile default")
	} else {
		say(deterministic...)
	}
	say(untilHeard...)

	check(get(ctx, stack))
	say(fmt.Sprintf("virtionetd: rx frame len=%d", <-heard))
	say(untilFetched...)
	check(get(ctx, stack))
	say(untilEchoed...)

	conn, err := stack.ListenPacket(40000)
	check(err)
	_, err = conn.WriteTo([]byte("selftest"), &net.UDPAddr{IP: frame.Host.IP.AsSlice(), Port: hostpeer.EchoPort})
	check(err)
	conn.SetReadDeadline(time.Now().Add(15 * time.Second))
	_, _, err = conn.ReadFrom(make([]byte, 100))
	check(err)
	<-asked
	say(untilDone...)
	if strings.Contains(argument(args, "-append"), "nexus.stay=1") {
		check(serveControl(argument(args, "-chardev")))
	}
	say(atTheEnd)
	return 0
}

// serveControl plays a guest that stays up until it is asked to stop on its control port, and has no services.
func serveControl(chardev string) error {
	say("nexus-init: staying up")
	_, number, _ := strings.Cut(chardev, "fd=")
	fd, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	port := os.NewFile(uintptr(fd), "control")
	in, out := control.NewReader(port, control.Host), control.NewWriter(port, control.Guest)
	for {
		f, err := in.Next()
		if err != nil || f.Kind == control.Stop {
			return err
		}
		if f.Kind == control.Open {
			if _, err := out.Write(control.Frame{Session: f.Session, Kind: control.Refused, Errno: syscall.ENOENT, Body: []byte("no service")}); err != nil {
				return err
			}
		}
	}
}

func check(err error) {
	if err != nil {
		say("fake guest FAILED: " + err.Error())
		os.Exit(1)
	}
}

func echoForever(conn net.PacketConn) {
	buf := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		conn.WriteTo(buf[:n], from)
	}
}

// get fetches the host's /hello.
func get(ctx context.Context, stack *wire.Stack) error {
	conn, err := stack.Dial(ctx, frame.Host, hostpeer.HTTPPort)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /hello HTTP/1.1\r\nHost: 10.0.2.2:8080\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if err == nil && string(body) != hostpeer.Hello {
		err = fmt.Errorf("got %q", body)
	}
	return err
}

// openLink opens the guest's end of the network card that -netdev describes.
func openLink(netdev string) (*wire.Link, error) {
	ignore := func(time.Time, []byte) {}
	if strings.HasPrefix(netdev, "stream,") {
		conn, err := net.FileConn(os.NewFile(3, "wire"))
		if err != nil {
			return nil, err
		}
		return wire.NewLink(conn, ignore), nil
	}
	_, name, _ := strings.Cut(netdev, "ifname=")
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return nil, err
	}
	tun := os.NewFile(uintptr(fd), "tun")
	// The stack's link speaks QEMU's framing; translate it to the TAP's.
	here, there := net.Pipe()
	other := wire.NewLink(there, ignore)
	other.Watch(func(raw []byte) { tun.Write(raw) })
	go other.Run()
	go func() {
		buf := make([]byte, 65536)
		for {
			n, err := tun.Read(buf)
			if err != nil {
				return
			}
			other.Send(buf[:n])
		}
	}()
	return wire.NewLink(here, ignore), nil
}
