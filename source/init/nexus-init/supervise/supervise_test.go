package supervise

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nexus/source/init/nexus-init/bootline"
	"nexus/source/init/nexus-init/devices/devicetest"
	"nexus/source/init/nexus-init/manifest"
	"nexus/source/libs/svc"
)

// The services of these boots are this test binary, told by ROLE what to do.
func TestMain(m *testing.M) {
	role := os.Getenv("ROLE")
	if role == "" {
		os.Exit(m.Run())
	}
	s, err := svc.Open()
	if err != nil {
		svc.Fail(err)
	}
	svc.Fail(play(s, role))
}

// play is a service.
func play(s *svc.Service, role string) error {
	notify, err := s.Descriptor("notify")
	if err != nil {
		return err
	}
	switch role {
	case "serve": // ready, then on until a client tells it to end, its channel is lost or it is killed
		if err := s.Ready(); err != nil {
			return err
		}
		channels := s.Descriptors("net")
		if len(channels) == 0 {
			return unix.Pause()
		}
		if n, err := channels[0].File.Read(make([]byte, 1)); n == 0 {
			return fmt.Errorf("lost its channel: %w", err)
		}
		return svc.Permanent(errors.New("told to end"))
	case "once":
		_, err := notify.WriteString("X_REFUSED=3\n")
		return err
	case "tell": // what it was given, on the console
		svc.Mark("environment: " + strings.Join(os.Environ(), " "))
		svc.Mark("arguments: " + strings.Join(os.Args, " "))
		return nil
	case "late": // says that it is under way, and tells the test that it has said so
		if _, err := notify.WriteString("STATUS=waiting for a lease\nheard\n"); err != nil {
			return err
		}
		return unix.Pause() // until it is killed
	case "hang":
		return unix.Pause()
	case "stop": // asks for the end, and waits for it
		if err := errors.Join(s.Ready(), s.Stop()); err != nil {
			return err
		}
		return unix.Pause() // until it is killed
	case "garbage":
		for _, text := range []string{"what?\n", "READY=2\n", strings.Repeat("x", 2000), "\x00\n", "MAINPID=1\nREADY=", "1\n"} {
			if _, err := notify.WriteString(text); err != nil {
				return err
			}
		}
		return unix.Pause() // until it is killed
	case "die":
		return errors.New("lost the device")
	case "end": // a service that must not end, but does, and in peace
		return nil
	case "kill":
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "ready-die":
		return errors.Join(s.Ready(), errors.New("lost the device"))
	case "ready-linger": // dies, while what it started still holds its notify descriptor
		if err := s.Ready(); err != nil {
			return err
		}
		self, err := os.Executable()
		if err != nil {
			return err
		}
		_, err = syscall.ForkExec(self, os.Args[:1], &syscall.ProcAttr{
			Env:   []string{"ROLE=linger", "LISTEN_FDS=1", "LISTEN_FDNAMES=notify"},
			Files: []uintptr{0, 1, 2, notify.Fd()},
		})
		return errors.Join(err, errors.New("lost the device"))
	case "linger": // an orphan; it ends when nobody reads what it says
		for err == nil {
			_, err = notify.WriteString("MAINPID=1\n")
		}
		return err
	case "use": // a client that tells its server to end, and goes away
		driver, err := s.Descriptor("driver")
		if err != nil {
			return err
		}
		_, err = driver.Write([]byte{1})
		return err
	}
	return fmt.Errorf("no role %q", role)
}

// service is a service of a manifest that plays role, with more fields.
func service(name, role, more string) string {
	return fmt.Sprintf(`{"name": %q, "program": %q, "environment": ["ROLE=%s"], "timeoutMs": 20000%s}`,
		name, os.Args[0], role, more)
}

const (
	notified = `, "ready": "notify"`
	oneShot  = `, "ready": "exit"`
)

// result is a finished boot.
type result struct {
	console []string // marks
	output  string   // of the services
	err     error
	devices *devicetest.Directory
}

// runBoot runs a boot of those services to its end, and sees that none is left.
func runBoot(t *testing.T, line, top string, services ...string) result {
	t.Helper()
	r := bootWith(t, line, top, services...)
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("a service is left: %d, %v", pid, err)
	}
	return r
}

// bootWith runs a boot of those services to its end.
func bootWith(t *testing.T, line, top string, services ...string) result {
	t.Helper()
	m, err := manifest.Parse([]byte(`{` + top + `"services": [` + strings.Join(services, ",\n") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	options, err := bootline.Parse(line)
	if err != nil {
		t.Fatal(err)
	}
	output, err := os.CreateTemp(t.TempDir(), "console")
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()

	r := result{devices: &devicetest.Directory{
		Nodes:     []string{"nic"},
		Processes: func() string { return "1 0 init rss=900 shared=800 tables=20 cpu=1000\n" },
		Console:   output.Name(),
	}}
	expired := make(chan time.Time)
	r.err = Run(Config{
		Devices:  r.devices,
		Manifest: m,
		Options:  options,
		Mark: func(line string) {
			r.console = append(r.console, line)
			if strings.HasSuffix(line, `not understood on notify: "heard"`) {
				close(expired)
			}
		},
		After: func(time.Duration) (<-chan time.Time, func() bool) { return expired, func() bool { return true } },
		Input: null.Fd(),
	})
	text, err := os.ReadFile(output.Name())
	if err != nil {
		t.Fatal(err)
	}
	r.output = string(text)
	return r
}

func (r result) marked(line string) bool {
	for _, l := range r.console {
		if l == line {
			return true
		}
	}
	return false
}

func TestBoot(t *testing.T) {
	r := runBoot(t, "nexus.profile=deterministic", "",
		service("driver", "serve", notified+`, "descriptors": [
			{"name": "window", "window": "nic"}, {"name": "irq", "irq": "nic"}, {"name": "rings", "dma": 4096},
			{"name": "net.stack", "serve": "nic"}]`),
		service("stack", "serve", notified+`, "settings": ["net"], "descriptors": [
			{"name": "driver", "connect": "nic"}, {"name": "sockets", "sockets": "inet"}]`),
		service("app", "once", oneShot+`, "namespace": "inet"`),
		service("tool", "once", oneShot+`, "namespace": "inet"`))
	if r.err != nil {
		t.Fatalf("%v, services said %s", r.err, r.output)
	}
	want := []string{
		"nexus-init: profile deterministic",
		"nexus-init: start driver", "nexus-init: driver ready",
		"nexus-init: start stack", "nexus-init: stack ready",
		"nexus-init: start app", "nexus-init: app done",
		"nexus-init: start tool", "nexus-init: tool done",
		"nexus-init: rights ok n=14", // 6 granted, 2 second owners refused, 3 refused to each one-shot
		"nexus-init: memory nexus-init rss=900 KiB shared=800 KiB",
		"nexus-init: done",
	}
	if got := strings.Join(r.console, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("console:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	if r.devices.Entered() != 1 {
		t.Errorf("%d threads entered the namespace, want 1 for both programs", r.devices.Entered())
	}
}

func TestFailures(t *testing.T) {
	missing := `{"name": "app", "program": "/bin/no-such", "timeoutMs": 1, "ready": "exit"}`
	text := strings.Replace(missing, "/bin/no-such", "/etc/passwd", 1)
	tests := []struct {
		name    string
		service string
		cause   error
		says    string
	}{
		{"late", service("stack", "late", notified), ErrLate, "stack: not ready within 20s, its last status: waiting for a lease"},
		{"one-shot late", service("app", "late", oneShot), ErrLate, "app: not done within 20s, its last status: waiting for a lease"},
		{"dies", service("stack", "die", notified), ErrDied, "stack: exited with status 1 before it was ready"},
		{"ends", service("stack", "end", notified), ErrDied, "stack: exited with status 0 before it was ready"},
		{"killed", service("stack", "kill", notified), ErrDied, "stack: was killed by signal 9 (killed) before it was ready"},
		{"one-shot fails", service("app", "die", oneShot), ErrDied, "app: exited with status 1"},
		{"missing program", missing, ErrStart, "app: cannot start /bin/no-such: no such file or directory: it is not in the boot archive"},
		{"not a program", text, ErrStart, "app: cannot start /etc/passwd: permission denied: build it with"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := runBoot(t, "", "", service("driver", "serve", notified), tt.service)
			if !errors.Is(r.err, tt.cause) || !strings.HasPrefix(r.err.Error(), tt.says) {
				t.Errorf("got %v, want %q", r.err, tt.says)
			}
			if r.marked("nexus-init: done") || !r.marked("nexus-init: driver ready") {
				t.Errorf("console: %q", r.console)
			}
		})
	}
}

// A service that dies after it was ready ends the boot at the latest while the
// next one is awaited.
func TestDiesAfterItWasReady(t *testing.T) {
	r := runBoot(t, "", "", service("driver", "ready-die", notified), service("stack", "hang", notified))
	want := "driver: exited with status 1 after it was ready"
	if !errors.Is(r.err, ErrDied) || r.err.Error() != want {
		t.Errorf("got %v, want %q", r.err, want)
	}
}

// What an orphan holds open delays the judgement of its parent by a bound only,
// and the orphan's own end is taken for nobody else's.
func TestOrphan(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); err != nil {
			t.Error(err)
		}
		for { // the orphan ends once its pipe is closed
			if _, err := syscall.Wait4(-1, nil, 0, nil); err == syscall.ECHILD {
				return
			}
		}
	}()
	r := bootWith(t, "", "", service("driver", "ready-linger", notified), service("stack", "hang", notified))
	want := "driver: exited with status 1 after it was ready"
	if !errors.Is(r.err, ErrDied) || r.err.Error() != want {
		t.Errorf("got %v, want %q", r.err, want)
	}
}

// Both ends of a broken channel die; the one that died first is named.
func TestTheCauseIsNamed(t *testing.T) {
	r := runBoot(t, "", "",
		service("driver", "serve", notified+`, "descriptors": [{"name": "net", "serve": "c"}]`),
		service("stack", "die", notified+`, "descriptors": [{"name": "driver", "connect": "c"}]`))
	want := "stack: exited with status 1 before it was ready"
	if !errors.Is(r.err, ErrDied) || r.err.Error() != want {
		t.Errorf("got %v, want %q", r.err, want)
	}
}

func TestNoDevice(t *testing.T) {
	r := runBoot(t, "", "", service("driver", "serve", notified+`, "descriptors": [{"name": "irq", "irq": "nic@2"}]`))
	want := "driver: descriptor irq: no device nic@2 in the device tree"
	if r.err == nil || !strings.HasPrefix(r.err.Error(), want) {
		t.Errorf("got %v, want %q", r.err, want)
	}
}

// What a service writes to notify is bounded, understood or named, once.
func TestGarbageOnNotify(t *testing.T) {
	r := runBoot(t, "", "", service("driver", "garbage", notified))
	if r.err != nil {
		t.Fatal(r.err)
	}
	if !r.marked(`nexus-init: driver: not understood on notify: "what?"`) {
		t.Errorf("console: %q", r.console)
	}
	if n := strings.Count(strings.Join(r.console, "\n"), "not understood"); n != 1 {
		t.Errorf("named %d times, want once", n)
	}
}

func TestEnvironment(t *testing.T) {
	tests := []struct{ line, top, want string }{
		{"", "", "NEXUS_NET=stub ROLE=tell"},
		{"", `"net": "dhcp",`, "NEXUS_NET=dhcp ROLE=tell"},
		{"", `"net": "static", "address": "10.1.0.1/8",`, "NEXUS_NET=static NEXUS_ADDR=10.1.0.1/8 ROLE=tell"},
		{"nexus.net=static nexus.addr=10.0.2.9/24 nexus.gw=10.0.2.2", `"net": "dhcp",`,
			"NEXUS_NET=static NEXUS_ADDR=10.0.2.9/24 NEXUS_GW=10.0.2.2 ROLE=tell"},
		{"nexus.net=stub nexus.profile=deterministic", `"net": "static", "address": "10.1.0.1/8",`,
			"NEXUS_SEED=249 NEXUS_NET=stub ROLE=tell"},
	}
	for _, tt := range tests {
		r := runBoot(t, tt.line, tt.top, service("tool", "tell", oneShot+`, "settings": ["net"], "arguments": ["-v"]`))
		if r.err != nil {
			t.Fatal(r.err)
		}
		want := "environment: " + tt.want + "\narguments: tool -v\n"
		if r.output != want {
			t.Errorf("%s: services said\n%swant\n%s", tt.line, r.output, want)
		}
	}
}

// A system that stays up is supervised. The driver dies because its client told it to, not because that has gone.
func TestStayUp(t *testing.T) {
	for _, tt := range []struct{ line, top string }{{"nexus.stay=1", ""}, {"", `"stay": true,`}} {
		r := runBoot(t, tt.line, tt.top,
			service("driver", "serve", notified+`, "descriptors": [{"name": "net", "serve": "c"}]`),
			service("client", "use", oneShot+`, "descriptors": [{"name": "driver", "connect": "c"}]`))
		if !errors.Is(r.err, ErrDied) || r.err.Error() != "driver: exited with status 125 after it was ready" {
			t.Errorf("%v", r.err)
		}
	}
}

// A service may ask for the end of a system that stays up, which is no failure, also early.
func TestAskedToStop(t *testing.T) {
	r := runBoot(t, "nexus.stay=1", "", service("door", "stop", notified), service("driver", "serve", notified))
	if got := strings.Join(r.console, "\n"); r.err != nil || !strings.HasSuffix(got, "nexus-init: staying up\nnexus-init: asked to stop") {
		t.Errorf("%v\n%s", r.err, got)
	}
}

func TestEnterRefused(t *testing.T) {
	m, err := manifest.Parse([]byte(`{"services": [` +
		service("stack", "serve", notified+`, "descriptors": [{"name": "s", "sockets": "inet"}]`) + `,` +
		service("app", "once", oneShot+`, "namespace": "inet"`) + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	err = Run(Config{
		Devices:  &devicetest.Directory{OnEnter: func() error { return syscall.EPERM }},
		Manifest: m,
		Mark:     func(string) {},
		After:    After,
	})
	if !errors.Is(err, syscall.EPERM) || !strings.HasPrefix(err.Error(), "app: enter socket namespace inet") {
		t.Errorf("got %v", err)
	}
}

func TestParseUsage(t *testing.T) {
	got, err := parseUsage(strings.NewReader("1 0 nexus-init rss=900 shared=800 tables=20 cpu=7\n12 1 echod rss=5 shared=4 tables=3 cpu=2\n"))
	want := []usage{{1, "nexus-init", 900, 800}, {12, "echod", 5, 4}}
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	for _, text := range []string{"1 0\n", "x 0 init rss=1\n", "1 0 init rss=many\n", "1 0 init shared=\n", strings.Repeat("x", 70000)} {
		if _, err := parseUsage(strings.NewReader(text)); !errors.Is(err, errProcesses) {
			t.Errorf("%.40q: %v, want %v", text, err, errProcesses)
		}
	}
}

// However a service cuts its text into writes, the same lines are heard, and
// nothing makes more than maxLine bytes be held.
func FuzzLines(f *testing.F) {
	f.Add([]byte("READY=1\nSTATUS=x\nX_REFUSED=7\nX_REFUSED=-1\n"), uint8(3))
	f.Add([]byte(strings.Repeat("y", maxLine+1)+"\nREADY=1\n"), uint8(7))
	f.Fuzz(func(t *testing.T, text []byte, step uint8) {
		var whole, cut lines
		want := whole.feed(text)
		var got []said
		for rest := text; len(rest) > 0; {
			n := min(int(step)+1, len(rest))
			got = append(got, cut.feed(rest[:n])...)
			if len(cut.held) > maxLine {
				t.Fatalf("holds %d bytes", len(cut.held))
			}
			rest = rest[n:]
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("in pieces %v, at once %v", got, want)
		}
		for _, s := range got {
			if svc.Printable(s.text) != s.text || s.count < 0 || s.count > maxRefusals {
				t.Errorf("heard %+v", s)
			}
		}
	})
}
