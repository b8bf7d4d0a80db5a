package supervise

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"nexus/source/init/nexus-init/bootline"
	"nexus/source/init/nexus-init/devices"
	"nexus/source/init/nexus-init/manifest"
	"nexus/source/init/nexus-init/netmode"
	"nexus/source/init/nexus-init/rights"
	"nexus/source/init/nexus-init/spawn"
	"nexus/source/libs/svc"
)

// seed is NEXUS_SEED of the deterministic profile: any number does, as long as
// it is the same at every boot.
const seed = "249"

// lastWords bounds how long the notify descriptor of a dead service is still
// read: a process it left behind may hold it open for ever.
const lastWords = time.Second

// child is one started service.
type child struct {
	service *manifest.Service
	pid     int
	notify  *os.File // what the service writes to its notify descriptor

	ready   bool
	exited  bool // its process has ended with status
	silent  bool // nothing more will come from notify
	status  syscall.WaitStatus
	text    string // its last STATUS
	garbage bool   // it wrote something that is not understood
}

// ended reports that the service is gone and all it said has been heard.
func (c *child) ended() bool { return c.exited && c.silent }

// succeeded reports a one-shot that did what it is for.
func (c *child) succeeded() bool {
	return c.service.Ready == manifest.Exited && c.ended() && c.status.Exited() && c.status.ExitStatus() == svc.ExitDone
}

// reached reports that the service is as the manifest wants it before the next
// one starts.
func (c *child) reached() bool {
	if c.service.Ready == manifest.Exited {
		return c.succeeded()
	}
	return c.ready
}

// death returns how a service ended that should not have, or nil.
func (c *child) death() error {
	if !c.ended() || c.succeeded() {
		return nil
	}
	when := " before it was ready"
	if c.service.Ready == manifest.Exited {
		when = ""
	} else if c.ready {
		when = " after it was ready"
	}
	return &Failure{c.service.Name, ErrDied, spawn.Describe(c.status) + when}
}

// late returns the error of a service whose time is up.
func (c *child) late() error {
	what := "not ready"
	if c.service.Ready == manifest.Exited {
		what = "not done"
	}
	hint := ""
	if c.text != "" {
		hint = ", its last status: " + c.text
	}
	return &Failure{c.service.Name, ErrLate, fmt.Sprintf("%s within %v%s", what, c.service.Timeout, hint)}
}

// notice is something a service said; nil lines mean that it will say no more.
type notice struct {
	from  *child
	lines []said
}

// listen passes on what the service writes, until nobody can write any more or
// stop is closed.
func (c *child) listen(notices chan<- notice, stop <-chan struct{}) {
	defer c.notify.Close()
	var cut lines
	buf := make([]byte, maxLine)
	for {
		n, err := c.notify.Read(buf)
		n = max(n, 0)
		heard := notice{from: c}
		if err == nil {
			heard.lines = append([]said{}, cut.feed(buf[:n])...)
		}
		select {
		case notices <- heard:
		case <-stop:
			return
		}
		if err != nil {
			return
		}
	}
}

// start starts a service with its rights, and no others.
func (b *boot) start(s *manifest.Service) (*child, error) {
	granted, err := b.set.Grant(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	defer rights.CloseAll(granted)
	hear, say, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	defer say.Close()
	// A description of its own: what it sets there (O_NONBLOCK) is nobody else's business.
	console, err := b.c.Devices.Open(devices.NameConsole)
	if err != nil {
		hear.Close()
		return nil, fmt.Errorf("%s: open %s: %w", s.Name, devices.NameConsole, err)
	}
	defer syscall.Close(console)

	program := spawn.Program{
		Path:        s.Program,
		Arguments:   append([]string{s.Name}, s.Arguments...),
		Environment: b.environment(s),
		Descriptors: []uintptr{b.c.Input, uintptr(console), uintptr(console)},
	}
	for _, fd := range granted {
		program.Descriptors = append(program.Descriptors, uintptr(fd))
	}
	program.Descriptors = append(program.Descriptors, say.Fd())

	launch, err := b.launcher(s)
	if err != nil {
		hear.Close()
		return nil, err
	}
	pid, err := launch(program)
	if err != nil {
		hear.Close()
		return nil, startError(s, err)
	}
	c := &child{service: s, pid: pid, notify: hear}
	b.children = append(b.children, c)
	b.reaper.Started()
	go c.listen(b.notices, b.stop)
	return c, nil
}

// launcher returns what starts programs where the service is to run. The thread
// inside a namespace is made for the first service that runs there.
func (b *boot) launcher(s *manifest.Service) (func(spawn.Program) (int, error), error) {
	if s.Namespace == "" {
		return spawn.Start, nil
	}
	inside := b.inside[s.Namespace]
	if inside == nil {
		namespace := b.set.Namespace(s.Namespace)
		var err error
		inside, err = spawn.Enter(func() error { return b.c.Devices.Enter(namespace) })
		if err != nil {
			return nil, fmt.Errorf("%s: enter socket namespace %s: %w", s.Name, s.Namespace, err)
		}
		b.inside[s.Namespace] = inside
	}
	return inside.Start, nil
}

// startError says why an exec failed and what to do.
func startError(s *manifest.Service, err error) error {
	advice := ""
	switch {
	case errors.Is(err, syscall.ENOENT):
		advice = ": it is not in the boot archive: add it there, or correct \"program\" in the manifest"
	case errors.Is(err, syscall.ENOEXEC), errors.Is(err, syscall.EACCES):
		advice = ": build it with GOOS=linux GOARCH=riscv64 CGO_ENABLED=0"
	case errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.EAGAIN):
		advice = ": give the machine more memory"
	}
	text := fmt.Sprintf("cannot start %s: %v%s", s.Program, err, advice)
	return &Failure{s.Name, fmt.Errorf("%w: %w", ErrStart, err), text}
}

// environment returns all of a service's environment: the start-up contract,
// the boot's settings it asked for, and the manifest's variables.
func (b *boot) environment(s *manifest.Service) []string {
	names := make([]string, 0, len(s.Descriptors)+1)
	for _, d := range s.Descriptors {
		names = append(names, d.Name)
	}
	names = append(names, svc.NotifyName)
	env := []string{
		"LISTEN_FDS=" + strconv.Itoa(len(names)),
		"LISTEN_FDNAMES=" + strings.Join(names, ":"),
	}
	if b.c.Options.Deterministic {
		env = append(env, "NEXUS_SEED="+seed)
	}
	for range s.Settings { // the manifest knows one: net
		env = append(env, network(b.c.Options, b.c.Manifest)...)
	}
	for _, v := range s.Environment {
		env = append(env, v.Name+"="+v.Value)
	}
	return env
}

// network returns the network's setting as variables; the command line wins.
func network(o bootline.Options, m *manifest.Manifest) []string {
	chosen := o.Net
	if chosen.Mode == "" {
		chosen = m.Net
	}
	env := []string{"NEXUS_NET=" + chosen.Mode}
	if chosen.Mode == netmode.Static {
		env = append(env, "NEXUS_ADDR="+chosen.Address)
		if chosen.Gateway != "" {
			env = append(env, "NEXUS_GW="+chosen.Gateway)
		}
	}
	return env
}
