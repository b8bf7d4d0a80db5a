package boot

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const postflight = "tools/postflight-bringup-rv_virt-v1_2.sh"

// A row of each kind; the whole table is the script's own business.
func TestPostflightScript(t *testing.T) {
	only := []string{"wire/static", "same"}
	servers := []string{"-", "in the guest"}
	if userError == nil {
		only, servers = append(only, "user/dhcp"), append(servers, "QEMU")
	}
	if tapError == nil {
		only, servers = append(only, "tap/dhcp/dnsmasq"), append(servers, "dnsmasq ")
	}
	cmd := exec.Command(postflight, "--json", "--only", strings.Join(only, ","))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	var table struct {
		Proven bool `json:"proven"`
		Rows   []struct {
			Name     string `json:"name"`
			Server   string `json:"dhcp_server"`
			Markers  int    `json:"markers"`
			Evident  int    `json:"with_evidence"`
			Selftest int    `json:"last_selftest_ms"`
			Frames   int    `json:"frames"`
		} `json:"rows"`
	}
	if err := json.Unmarshal(out, &table); err != nil {
		t.Fatal(err)
	}
	if !table.Proven || len(table.Rows) != len(only) {
		t.Fatalf("got %s", out)
	}
	for _, r := range table.Rows {
		for i, name := range only {
			if r.Name == name && !strings.HasPrefix(r.Server, servers[i]) {
				t.Errorf("%s: DHCP server %q, want %q", name, r.Server, servers[i])
			}
		}
		if r.Markers < 35 || r.Evident < 15 || r.Selftest == 0 || r.Frames < 10 {
			t.Errorf("got %+v", r)
		}
	}
}

// ^C in the middle of a boot ends all of it.
func TestPostflightInterrupted(t *testing.T) {
	rows := []string{"wire/stub"}
	if userError == nil {
		rows = append(rows, "user/stub")
	}
	if tapError == nil {
		rows = append(rows, "tap/dhcp/dnsmasq")
	}
	for _, row := range rows {
		t.Run(row, func(t *testing.T) {
			dir := t.TempDir()
			running := filepath.Join(dir, "running")
			if err := syscall.Mkfifo(running, 0o600); err != nil {
				t.Fatal(err)
			}
			qemu := filepath.Join(dir, "qemu")
			body := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = --version ] && exec echo QEMU emulator version 7.2.0\necho it runs >%s\nexec sleep 1000\n", running)
			if err := os.WriteFile(qemu, []byte(body), 0o755); err != nil {
				t.Fatal(err)
			}
			tag := fmt.Sprintf("NEXUS_TEST_TAG=%d-%s", os.Getpid(), t.Name())
			cmd := exec.Command(nx, "postflight", "--only", row, "--", "--qemu", qemu)
			cmd.Env = append(os.Environ(), tag)
			var said strings.Builder
			cmd.Stdout, cmd.Stderr = &said, &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// Opened for both, the pipe does not wait for its other end, and its read is bounded.
			in, err := os.OpenFile(running, os.O_RDWR|syscall.O_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			if err := in.SetReadDeadline(time.Now().Add(bound)); err != nil {
				t.Fatal(err)
			}
			if _, err := in.Read(make([]byte, 100)); err != nil {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				t.Fatalf("QEMU was not started: %v\n%s", err, said.String())
			}
			all := tagged(t, tag)
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // its status is looked at below
			if status := cmd.ProcessState.ExitCode(); status != 2 || !strings.Contains(said.String(), "interrupted after 0 of 1 rows") {
				t.Errorf("status %d:\n%s", status, said.String())
			}
			deadline := time.Now().Add(bound)
			for _, p := range all {
				if !p.ended(deadline) {
					t.Errorf("%s (%d) lives on", p.command, p.pid)
				}
			}
			if left := tagged(t, tag); len(left) > 0 {
				t.Errorf("left: %+v", left)
			}
		})
	}
}
