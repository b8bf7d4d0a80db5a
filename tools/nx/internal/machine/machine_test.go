package machine

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// control is the control port in QEMU's command line, on descriptor fd.
func control(fd string) string {
	return "-device virtio-serial-device,bus=virtio-mmio-bus.2 -chardev socket,id=control,fd=" + fd +
		" -device virtserialport,chardev=control,name=nexus.control,nr=1"
}

func TestArgs(t *testing.T) {
	base := Config{QEMU: "qemu", Kernel: "k", Timeout: time.Second}
	with := func(change func(*Config)) Config {
		c := base
		change(&c)
		return c
	}
	const end = " -display none -serial stdio -monitor none -no-reboot"
	for name, tc := range map[string]struct {
		config Config
		want   string
	}{
		"the least": {base, "-M virt -smp 1 -m 128M -global virtio-mmio.force-legacy=false -kernel k" + end},
		"TAP": {with(func(c *Config) { c.NIC.TAP, c.Archive, c.DTB = "tap0", "a", "d" }),
			"-M virt -smp 1 -m 128M -global virtio-mmio.force-legacy=false -kernel k -initrd a -dtb d " +
				"-netdev tap,id=n0,script=no,ifname=tap0 " +
				"-device virtio-net-device,netdev=n0,bus=virtio-mmio-bus.1,mac=02:00:00:00:00:01" + end},
		"socket, legacy": {with(func(c *Config) { c.NIC = NIC{File: os.Stdin, Legacy: true} }),
			"-M virt -smp 1 -m 128M -kernel k -netdev stream,id=n0,server=off,addr.type=fd,addr.str=3 " +
				"-device virtio-net-device,netdev=n0,bus=virtio-mmio-bus.1,mac=02:00:00:00:00:01" + end},
		"control port": {with(func(c *Config) { c.Control, c.SMP = os.Stdout, 4 }),
			"-M virt -smp 4 -m 128M -global virtio-mmio.force-legacy=false -kernel k " + control("3") + end},
		"control port beside a socket": {with(func(c *Config) { c.NIC.File, c.Control = os.Stdin, os.Stdout }),
			"-M virt -smp 1 -m 128M -global virtio-mmio.force-legacy=false -kernel k " +
				"-netdev stream,id=n0,server=off,addr.type=fd,addr.str=3 " +
				"-device virtio-net-device,netdev=n0,bus=virtio-mmio-bus.1,mac=02:00:00:00:00:01 " + control("4") + end},
		"user network": {with(func(c *Config) {
			c.NIC = NIC{File: os.Stdin, Forward: netip.MustParseAddrPort("127.0.0.1:9")}
		}), "-M virt -smp 1 -m 128M -global virtio-mmio.force-legacy=false -kernel k " +
			"-netdev user,id=u0,net=10.0.2.0/24,host=10.0.2.2,dhcpstart=10.0.2.15,dns=10.0.2.3,ipv6=off,hostfwd=udp:127.0.0.1:9-10.0.2.15:7 " +
			"-netdev hubport,id=h0,hubid=0,netdev=u0 -netdev hubport,id=n0,hubid=0 " +
			"-netdev dgram,id=s0,local.type=fd,local.str=3 -netdev hubport,id=h1,hubid=0,netdev=s0 " +
			"-device virtio-net-device,netdev=n0,bus=virtio-mmio-bus.1,mac=02:00:00:00:00:01" + end},
		"deterministic": {with(func(c *Config) { c.Deterministic, c.Icount, c.MemoryMiB = true, true, 64 }),
			"-M virt -smp 1 -m 64M -global virtio-mmio.force-legacy=false -kernel k " +
				"-seed 1 -rtc base=2026-01-01T00:00:00,clock=vm -icount shift=0,sleep=off" + end},
		"more devices": {with(func(c *Config) { c.Devices = []string{"virtio-rng-device,bus=virtio-mmio-bus.3", "b"} }),
			"-M virt -smp 1 -m 128M -global virtio-mmio.force-legacy=false -kernel k " +
				"-device virtio-rng-device,bus=virtio-mmio-bus.3 -device b" + end},
		"a comma in a name": {with(func(c *Config) { c.NIC.TAP = "t,script=/bin/sh" }),
			"-M virt -smp 1 -m 128M -global virtio-mmio.force-legacy=false -kernel k " +
				"-netdev tap,id=n0,script=no,ifname=t,,script=/bin/sh " +
				"-device virtio-net-device,netdev=n0,bus=virtio-mmio-bus.1,mac=02:00:00:00:00:01" + end},
	} {
		args, err := tc.config.Args()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(tc.want, strings.Join(args, " ")); d != "" {
			t.Errorf("%s: want, got:\n%s", name, d)
		}
	}
	if args, err := with(func(c *Config) { c.Append = "a b" }).Args(); err != nil || args[len(args)-8] != "a b" {
		t.Errorf("append: %q, %v", args, err)
	}
	for name, c := range map[string]Config{
		"no QEMU":   {Kernel: "k", Timeout: 1},
		"no kernel": {QEMU: "q", Timeout: 1},
		"no bound":  {QEMU: "q", Kernel: "k"},
	} {
		if _, err := c.Args(); !errors.Is(err, errConfig) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestParseVersion(t *testing.T) {
	for _, tc := range []struct {
		out string
		v   Version
		ok  bool
	}{
		{"QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright", Version{7, 2}, true},
		{"QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)", Version{10, 0}, true},
		{"QEMU emulator version 9.1", Version{9, 1}, true},
		{"QEMU emulator version unknown", Version{}, false},
		{"QEMU emulator version 99999999999999999999.1", Version{}, false},
		{"", Version{}, false},
	} {
		v, err := parseVersion(tc.out)
		if v != tc.v || (err == nil) != tc.ok {
			t.Errorf("%q: got %v, %v", tc.out, v, err)
		}
	}
	if !(Version{7, 1}).Before(Oldest) || !(Version{6, 9}).Before(Oldest) || (Version{7, 2}).Before(Oldest) || (Version{10, 0}).Before(Oldest) {
		t.Error("the order of versions is wrong")
	}
}

// program writes a shell script to be executed for QEMU or dtc.
func program(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFind(t *testing.T) {
	good := program(t, "echo QEMU emulator version 7.2.0")
	if q, err := Find(t.Context(), good); q != (QEMU{good, Oldest, "QEMU emulator version 7.2.0"}) || err != nil {
		t.Errorf("got %+v, %v", q, err)
	}
	if _, err := Find(t.Context(), "no-such-program"); !errors.Is(err, ErrMissing) {
		t.Errorf("missing: %v", err)
	}
	if _, err := Find(t.Context(), program(t, "echo QEMU emulator version 6.2.0")); !errors.Is(err, ErrTooOld) {
		t.Errorf("old: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Find(ctx, program(t, "sleep 100")); err == nil {
		t.Error("a program that hangs is found")
	}
}

func TestCompileTree(t *testing.T) {
	if err := CompileTree(t.Context(), "no-such-dtc", "a", "b"); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "device-tree-compiler") {
		t.Errorf("missing: %v", err)
	}
	bad := program(t, "echo a.dts:1: syntax error >&2; exit 1")
	if err := CompileTree(t.Context(), bad, "a.dts", "b"); !errors.Is(err, ErrFile) {
		t.Errorf("no source: %v", err)
	}
	if err := CompileTree(t.Context(), bad, bad, "b"); err == nil || !strings.Contains(err.Error(), "a.dts:1: syntax error") {
		t.Errorf("a syntax error: %v", err)
	}
}

func TestRun(t *testing.T) {
	const long = 30 * time.Second
	for name, tc := range map[string]struct {
		script string
		bound  time.Duration
		lines  string
		exit   Exit
	}{
		"ends well":   {`printf 'one\r\ntwo\r\n\r\nend'`, long, "one|two||end", Exit{}},
		"ends badly":  {`echo x; echo why >&2; exit 3`, long, "x", Exit{Code: 3, Stderr: "why"}},
		"is killed":   {`kill -9 $$`, long, "", Exit{Code: -1, Signal: "killed"}},
		"takes long":  {`echo x; exec sleep 100`, 300 * time.Millisecond, "x", Exit{Code: -1, Signal: "killed", TimedOut: true}},
		"orphan pipe": {`echo x; sleep 5 & exit 0`, long, "x", Exit{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lines []string
			m, err := Start(t.Context(), Config{QEMU: program(t, tc.script), Kernel: "k", Timeout: tc.bound}, func(l Line) { lines = append(lines, l.Text) })
			if err != nil {
				t.Fatal(err)
			}
			exit := m.Wait()
			exit.Took = 0
			if d := cmp.Diff(tc.exit, exit); d != "" {
				t.Errorf("want, got:\n%s", d)
			}
			if got := strings.Join(lines, "|"); got != tc.lines {
				t.Errorf("got %q, want %q", got, tc.lines)
			}
		})
	}
}

func TestStop(t *testing.T) {
	started := make(chan struct{})
	m, err := Start(t.Context(), Config{QEMU: program(t, "echo up; exec sleep 100"), Kernel: "k", Timeout: time.Minute}, func(Line) { close(started) })
	if err != nil {
		t.Fatal(err)
	}
	<-started
	m.Stop()
	m.Stop() // twice does no harm
	if exit := m.Wait(); !exit.Stopped || exit.TimedOut {
		t.Errorf("got %+v", exit)
	}
}

func TestCannotStart(t *testing.T) {
	if _, err := Start(t.Context(), Config{QEMU: "/nowhere", Kernel: "k", Timeout: time.Second}, func(Line) {}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestConsoleBounds(t *testing.T) {
	var lines []Line
	now := time.Duration(0)
	c := newConsole(func(l Line) { lines = append(lines, l) }, func() time.Duration { return now })
	write := func(s string) {
		if n, err := c.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	now = 1
	write("spl")
	now = 2
	write("it\r\n")
	if want := []Line{{1, "split"}}; !cmp.Equal(lines, want) {
		t.Errorf("got %v, want %v", lines, want)
	}
	lines = nil
	write(strings.Repeat("y", MaxLine+1) + "\n")
	if len(lines) != 2 || len(lines[0].Text) != MaxLine || lines[1].Text != "y" {
		t.Errorf("a long line became %d lines", len(lines))
	}
	for range MaxConsole / 4096 {
		write(strings.Repeat("z", 4095) + "\n")
	}
	write("lost\n")
	c.close()
	last := lines[len(lines)-1].Text
	if strings.Contains(last, "lost") || !strings.Contains(last, "printed too much") {
		t.Errorf("at the end: %q", last)
	}
}

func TestExplain(t *testing.T) {
	for stderr, want := range map[string]string{
		`qemu-system-riscv64: Unable to load the RISC-V firmware "opensbi-riscv64-generic-fw_dynamic.bin"`: "apt-get install opensbi",
		`qemu-system-riscv64: Unable to find the RISC-V BIOS "opensbi-riscv64-generic-fw_dynamic.bin"`:     "apt-get install opensbi",
		`qemu-system-riscv64: could not configure /dev/net/tun (tap0): Operation not permitted`:            "--nic wire",
		`qemu-system-riscv64: -netdev stream,id=n0: Invalid parameter 'addr.type'`:                         "too old",
		`qemu-system-riscv64: -device nonsense: 'nonsense' is not a valid device model name`:               "--device",
		`qemu-system-riscv64: -device virtio-rng-device: Bus 'virtio-mmio-bus.1' is full`:                  "name another",
		`qemu-system-riscv64: could not load kernel 'k'`:                                                   "make build",
	} {
		if got := Explain(stderr); !strings.Contains(got, want) {
			t.Errorf("%s: got %q", stderr, got)
		}
	}
	if got := Explain("qemu: something else"); got != "" {
		t.Errorf("got %q", got)
	}
}
