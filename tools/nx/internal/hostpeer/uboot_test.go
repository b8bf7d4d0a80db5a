package hostpeer

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/frame"
	"nexus/tools/nx/internal/machine"
	"nexus/tools/nx/internal/wire"
)

const uBoot = "/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin"

// A client that nobody here wrote: U-Boot gets its lease from the host and
// pings it.
func TestUBoot(t *testing.T) {
	qemu, err := exec.LookPath("qemu-system-riscv64")
	if err != nil {
		t.Skip("no QEMU: scripts/setup.sh installs it")
	}
	if _, err := os.Stat(uBoot); err != nil {
		t.Skip("no U-Boot: scripts/setup.sh installs it")
	}

	var rec capture.Recorder
	guest, link, err := wire.New(rec.Record)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- link.Run() }()
	stack, err := wire.NewStack(link, frame.Host)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := Start(Config{Link: link, Sockets: stack, DHCP: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		peer.Close()
		stack.Close()
		link.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()

	stdin, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer typed.Close()
	// Any key stops its countdown, and it loses some more; a busy command would
	// lose keys too, so that all commands are one line.
	if _, err := io.WriteString(typed, "\n\n\n\n\n\nsetenv autoload no; dhcp; ping 10.0.2.2; poweroff\n"); err != nil {
		t.Fatal(err)
	}
	var console strings.Builder
	m, err := machine.Start(t.Context(), machine.Config{
		QEMU: qemu, Kernel: uBoot, NIC: machine.NIC{File: guest}, Stdin: stdin, Timeout: 60 * time.Second,
	}, func(l machine.Line) { console.WriteString(l.Text + "\n") })
	stdin.Close()
	guest.Close()
	if err != nil {
		t.Fatal(err)
	}
	exit := m.Wait()
	for _, want := range []string{"DHCP client bound to address 10.0.2.15", "host 10.0.2.2 is alive"} {
		if !strings.Contains(console.String(), want) {
			t.Errorf("U-Boot did not say %q", want)
		}
	}
	if exit.Code != 0 {
		t.Errorf("exit %+v", exit)
	}
	kinds := map[frame.Kind]bool{}
	for _, f := range rec.Frames(m.Started()) {
		kinds[f.Kind] = true
	}
	for _, want := range []frame.Kind{"dhcp.discover", "dhcp.offer", "dhcp.request", "dhcp.ack", frame.ARPReplyKind, frame.PongKind} {
		if !kinds[want] {
			t.Errorf("no %s on the wire", want)
		}
	}
	if t.Failed() {
		t.Log(console.String())
	}
}
