package boot

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// guest is what these tests read of nx ps.
type guest struct {
	Name    string `json:"name"`
	Phase   string `json:"phase"`
	PID     int    `json:"pid"`
	QEMU    int    `json:"qemu_pid"`
	Dir     string `json:"dir"`
	Verdict struct {
		Proven bool `json:"proven"`
	} `json:"verdict"`
}

// guests lists the guests, those that ended too.
func guests(t *testing.T) []guest {
	t.Helper()
	out, err := exec.Command(nx, "ps", "--all", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Guests []guest `json:"guests"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	return list.Guests
}

// is fails the test unless the guest name is in that phase; it gives the guest.
func is(t *testing.T, name, phase string) guest {
	t.Helper()
	all := guests(t)
	i := slices.IndexFunc(all, func(g guest) bool { return g.Name == name })
	if i < 0 || all[i].Phase != phase {
		t.Fatalf("%s is not %s: %+v", name, phase, all)
	}
	return all[i]
}

// pidfd holds a process, so that its end cannot be missed.
func pidfd(t *testing.T, pid int) int {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// gone waits for the end of a held process.
func gone(fd int, bound time.Duration) bool {
	deadline := time.Now().Add(bound)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(time.Until(deadline), 0)/time.Millisecond))
		if n > 0 || err == nil || err != unix.EINTR {
			return n > 0
		}
	}
}

// Two and four guests run side by side, each proven and each with its own files;
// one that is stopped or killed takes nothing of the others with it.
func TestSideBySide(t *testing.T) {
	for _, n := range []int{2, 4} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Cleanup(func() {
				if out, err := exec.Command(nx, "stop", "--all").CombinedOutput(); err != nil {
					t.Errorf("stop --all: %v\n%s", err, out)
				}
			})
			var names []string
			for i := range n {
				name := fmt.Sprintf("side%d-%d", n, i)
				nic := nics(t)[i%len(nics(t))]
				status, out := script(t, exec.Command(nx, "boot", "--detach", "--name", name, "--nic", nic))
				if status != 0 || !strings.Contains(out, "nexus: boot proven: ") {
					t.Fatalf("%s: status %d:\n%s", name, status, out)
				}
				names = append(names, name)
			}
			for _, name := range names {
				if g := is(t, name, "standing"); !g.Verdict.Proven {
					t.Errorf("%s is not proven", name)
				}
			}

			stopped := is(t, names[0], "standing")
			qemu := pidfd(t, stopped.QEMU)
			if status, out := script(t, exec.Command(nx, "stop", names[0])); status != 0 || out != "nexus: "+names[0]+": stopped\n" {
				t.Errorf("stop: status %d:\n%s", status, out)
			}
			if !gone(qemu, 0) {
				t.Error("QEMU outlives nx stop")
			}
			is(t, names[0], "ended")

			killed := is(t, names[1], "standing")
			runner, qemu := pidfd(t, killed.PID), pidfd(t, killed.QEMU)
			if err := syscall.Kill(killed.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			// QEMU dies with the one thread of its runner that started it; the guest has died with the last, which lets go of its lock.
			if !gone(runner, bound) || !gone(qemu, bound) {
				t.Error("QEMU outlives its runner")
			}
			is(t, names[1], "died")

			for _, name := range names[2:] {
				is(t, name, "standing")
			}
			for _, name := range names {
				status, out := script(t, exec.Command(nx, "logs", name))
				if status != 0 || strings.Count(out, " * netstackd: ready\n") != 1 || !strings.Contains(out, " * nexus-init: done\n") {
					t.Errorf("logs of %s: status %d:\n%s", name, status, out)
				}
			}
			for _, file := range []string{"report.json", "wire.pcap"} {
				if info, err := os.Stat(stopped.Dir + "/" + file); err != nil || info.Size() < 1000 {
					t.Errorf("%s: %v", file, err)
				}
			}
		})
	}
}

// The kernel finds the memory that was asked for, less what firmware and kernel
// take.
func TestMemory(t *testing.T) {
	for _, mib := range []int{64, 256, 4096} {
		t.Run(fmt.Sprint(mib), func(t *testing.T) {
			r := boot(t, nil, "--nic", "wire", "--memory", fmt.Sprint(mib))
			r.proven(t)
			var hart, found int
			if _, err := fmt.Sscanf(r.text(), "neuron: hart %d, memory %d MiB", &hart, &found); err != nil || found > mib || found < mib-16 {
				t.Errorf("found %d MiB, %v:\n%s", found, err, r.text())
			}
		})
	}
}

// Nexus runs on one hart of a machine that has several.
func TestHarts(t *testing.T) {
	for _, n := range []string{"2", "8"} {
		t.Run(n, func(t *testing.T) { boot(t, nil, "--nic", "wire", "--smp", n).proven(t) })
	}
}
