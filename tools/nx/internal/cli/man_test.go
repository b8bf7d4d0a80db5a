package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// manuals writes all pages and returns them by file name.
func manuals(t *testing.T, date time.Time) map[string]string {
	t.Helper()
	dir := t.TempDir()
	root := newRoot(streams{})
	root.InitDefaultCompletionCmd()
	if err := writeManuals(root, date, dir); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	pages := make(map[string]string)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pages[filepath.Base(file)] = string(data)
	}
	return pages
}

// commands calls f with cmd and every command below it that users see.
func commands(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, sub := range cmd.Commands() {
		if hasManual(sub) {
			commands(sub, f)
		}
	}
}

var exitLine = regexp.MustCompile(`(?m)^\.SH EXIT STATUS\n\.TP\n(0|that of COMMAND)\n[a-z]`)

func TestEveryCommandIsExplained(t *testing.T) {
	pages := manuals(t, time.Time{})
	root := newRoot(streams{})
	root.InitDefaultCompletionCmd()
	seen := 0
	commands(root, func(cmd *cobra.Command) {
		seen++
		path := cmd.CommandPath()
		if cmd.Short == "" || cmd.Long == "" || !exitSection.MatchString(cmd.Long) {
			t.Errorf("%s: no Short, no Long, or no exit statuses in it", path)
		}
		if cmd.Example == "" && cmd.Parent().Name() != "completion" {
			t.Errorf("%s: no Example", path)
		}
		page := pages[strings.ReplaceAll(path, " ", "-")+".1"]
		if !exitLine.MatchString(page) || strings.Count(page, ".SH EXIT STATUS") != 1 || strings.Contains(page, "Exit status") {
			t.Errorf("%s: the page has no section EXIT STATUS, or more than that:\n%s", path, page)
		}
	})
	if seen != len(pages) || seen < 20 {
		t.Errorf("%d commands, %d pages", seen, len(pages))
	}
}

// The same nx writes the same pages, whatever the environment and the day.
func TestManualsAreTheSame(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var all [2]map[string]string
	for i, more := range []string{"NEXUS_QEMU=", "NEXUS_QEMU=/other/qemu"} {
		dir := filepath.Join(t.TempDir(), "made", "here")
		cmd := exec.Command(self, "man", dir)
		cmd.Env = append(environment("NX_TEST_ROLE=nx"), more, "NEXUS_GUEST=g"+more, "SOURCE_DATE_EPOCH="+strings.Repeat("9", 8+i))
		if status, out := run(t, cmd); status != 0 || out != "" {
			t.Fatalf("status %d: %s", status, out)
		}
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		all[i] = make(map[string]string)
		for _, f := range files {
			data, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all[i][f.Name()] = string(data)
		}
	}
	if len(all[0]) < 20 || len(all[0]) != len(all[1]) {
		t.Fatalf("%d and %d pages", len(all[0]), len(all[1]))
	}
	for name, page := range all[0] {
		if all[1][name] != page {
			t.Errorf("%s differs:\n%s\n%s", name, page, all[1][name])
		}
	}
	status, out := run(t, exec.Command("/bin/sh", "-c", "NX_TEST_ROLE=nx "+self+" man /dev/null/x"))
	if status != exitFailed || !strings.Contains(out, "name a folder that can be written to") {
		t.Errorf("status %d: %s", status, out)
	}
}

func TestManualsDate(t *testing.T) {
	page := manuals(t, time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC))["nx-net-if.1"]
	if head := `.TH "NX-NET-IF" "1" "Mar 2026" "Nexus"`; !strings.Contains(page, head) {
		t.Errorf("no %s in\n%s", head, page)
	}
	if page := manuals(t, time.Time{})["nx-net-if.1"]; !strings.Contains(page, `.TH "NX-NET-IF" "1" "" "Nexus"`) {
		t.Errorf("a date in\n%s", page)
	}
}

// groff has no complaint about any page.
func TestManualsFormat(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Fatalf("%v: scripts/setup.sh installs it", err)
	}
	for name, page := range manuals(t, time.Time{}) {
		cmd := exec.Command(groff, "-man", "-Tutf8", "-Kutf8", "-ww", "-z")
		cmd.Stdin = strings.NewReader(page)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	b := newBench(t, "")
	for _, shell := range []string{"bash", "zsh", "fish"} {
		status, out := run(t, b.nx("completion", shell))
		if status != 0 || !strings.Contains(out, "nx") {
			t.Errorf("%s: status %d", shell, status)
			continue
		}
		// The script is one that its shell can read, where there is that shell.
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s is not tried: %v", shell, err)
			continue
		}
		check := exec.Command(path, "-n")
		check.Stdin = strings.NewReader(out)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
	status, out := run(t, b.nx("__complete", "net", "addr", ""))
	if status != 0 || !strings.HasPrefix(out, "lo\nvirt0\n:4\n") {
		t.Errorf("status %d: %s", status, out)
	}
}

func TestVersionOf(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.26.3", Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123abcd"}, {Key: "vcs.time", Value: "2026-03-04T05:06:07Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	info.Main.Version = "v1.2.3"
	v := versionOf(info)
	v.QEMU, v.Kernel = "7.2", "0123456789ab"
	want := "nx       v1.2.3\nrevision 0123abcd of 2026-03-04T05:06:07Z, modified\ngo       go1.26.3\nqemu     7.2\n" +
		"kernel   0123456789ab\narchive  not built: make build\n"
	if got := v.text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := versionOf(nil).text(); !strings.HasPrefix(got, "nx       unknown\nrevision unknown\n") {
		t.Errorf("of nothing: %s", got)
	}
}

func TestVersion(t *testing.T) {
	b := newBench(t, "kernel")
	status, out := run(t, b.nx("version", "--json", "--qemu", "/nowhere", "--kernel", b.path("kernel"), "--archive", "/nowhere"))
	// printf kernel | sha256sum
	for _, part := range []string{`"kernel": "6923dd1bc046"`, `"qemu": ""`, `"archive": ""`, `"go": "go1.`} {
		if !strings.Contains(out, part) || status != 0 {
			t.Errorf("status %d, no %s in\n%s", status, part, out)
		}
	}
}

// Errors of every command are a line, or with --json a document.
func TestErrorsAsDocuments(t *testing.T) {
	b := newBench(t, "")
	for _, args := range [][]string{{"net", "ping", "x"}, {"net", "--bad"}, {"nothing"}, {"prove"}, {"net", "none"}} {
		status, out := run(t, b.nx(args...))
		if status != exitFailed || !strings.HasPrefix(out, "nx: ") || strings.Count(out, "\n") != 1 {
			t.Errorf("%q: status %d: %s", args, status, out)
		}
		status, out = run(t, b.nx(append(args, "--json")...))
		if status != exitFailed || !strings.HasPrefix(out, "{\n \"error\": {\n  \"text\": ") {
			t.Errorf("%q --json: status %d: %s", args, status, out)
		}
	}
}
