// Package supervise is the boot: it starts the services of the manifest one
// after the other, waits for each to be ready within its time, and ends the
// boot, naming the service, when one is late, cannot be started or dies.
//
// One goroutine owns the state of the boot. Others only wait: one for the ends
// of the children, one for each service's notify descriptor. Every wait of the
// owner has a bound, except serving on after the proof.
package supervise

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"nexus/source/init/nexus-init/bootline"
	"nexus/source/init/nexus-init/devices"
	"nexus/source/init/nexus-init/manifest"
	"nexus/source/init/nexus-init/rights"
	"nexus/source/init/nexus-init/spawn"
)

// endBound is how long services may take to end once they are killed.
const endBound = time.Second

// Config is one boot.
type Config struct {
	Devices  devices.Directory
	Manifest *manifest.Manifest
	Options  bootline.Options

	Mark  func(line string) // prints one line on the console
	Input uintptr           // descriptor 0 of every service

	// After is the clock that a service's time-out runs on: package After's.
	After func(d time.Duration) (expired <-chan time.Time, stop func() bool)
}

// After is the machine's clock.
func After(d time.Duration) (expired <-chan time.Time, stop func() bool) {
	timer := time.NewTimer(d)
	return timer.C, timer.Stop
}

// boot is the state of a boot.
type boot struct {
	c        Config
	set      *rights.Set
	reaper   *spawn.Reaper
	inside   map[string]*spawn.Namespace // by the namespace's name
	children []*child                    // in the order of their start
	gone     []*child                    // those that ended, in the order of their end
	notices  chan notice
	stop     chan struct{} // closed at the end
	refused  int           // rights that services found refused
	stopping bool          // a service asked for the end
}

// Run boots and returns nil when every service was ready in time and the boot
// is not to stay up, or when, after the proof, a service asked for the end. It
// returns an error when the boot failed, or, after the proof, when a service died
// while serving on. All services have ended, or were
// given up, when it returns. There can be one Run at a time in a process.
func Run(c Config) error {
	c.Mark("nexus-init: profile " + c.Options.Profile())
	set, err := rights.Prepare(c.Devices, c.Manifest)
	if err != nil {
		return err
	}
	b := &boot{
		c:       c,
		set:     set,
		reaper:  spawn.NewReaper(manifest.MaxServices),
		inside:  make(map[string]*spawn.Namespace),
		notices: make(chan notice, manifest.MaxServices),
		stop:    make(chan struct{}),
	}
	defer set.Close()
	err = b.bringUp()
	if err == nil && (c.Options.Stay || c.Manifest.Stay) {
		c.Mark("nexus-init: done")
		c.Mark("nexus-init: staying up")
		return errors.Join(b.serveOn(), b.end())
	}
	err = errors.Join(err, b.end())
	if err == nil {
		c.Mark("nexus-init: done")
	}
	return err
}

// bringUp starts every service and proves the rights.
func (b *boot) bringUp() error {
	for i := range b.c.Manifest.Services {
		s := &b.c.Manifest.Services[i]
		b.c.Mark("nexus-init: start " + s.Name)
		c, err := b.start(s)
		if err != nil {
			return err
		}
		if err := b.await(c); err != nil {
			return err
		}
		if s.Ready == manifest.Exited {
			b.c.Mark("nexus-init: " + s.Name + " done")
		} else {
			b.c.Mark("nexus-init: " + s.Name + " ready")
		}
	}
	b.c.Mark("nexus-init: rights ok n=" + strconv.Itoa(b.set.Proven()+b.refused))
	return b.reportMemory()
}

// await waits until c is as the manifest wants it, no service has died, or c's
// time is up.
func (b *boot) await(c *child) error {
	expired, stop := b.c.After(c.service.Timeout)
	defer stop()
	for !c.reached() {
		select {
		case <-expired:
			return c.late()
		case exit := <-b.reaper.Exits():
			if err := b.exited(exit); err != nil {
				return err
			}
		case n := <-b.notices:
			b.heard(n)
		}
		if err := b.anyDeath(); err != nil {
			return err
		}
	}
	return nil
}

// serveOn supervises until a service asks for the end (nil) or dies.
func (b *boot) serveOn() error {
	for !b.stopping {
		if err := b.anyDeath(); err != nil {
			return err
		}
		select {
		case exit := <-b.reaper.Exits():
			if err := b.exited(exit); err != nil {
				return err
			}
		case n := <-b.notices:
			b.heard(n)
		}
	}
	b.c.Mark("nexus-init: asked to stop")
	return nil
}

// anyDeath returns the service that died first: a service ends when the one it
// needs does, and the cause is to be named, not the victim. While the last words
// of one that ended earlier are awaited, later ones are not judged.
func (b *boot) anyDeath() error {
	for _, c := range b.gone {
		if err := c.death(); err != nil || !c.silent {
			return err
		}
	}
	return nil
}

// exited takes the end of a process over.
func (b *boot) exited(exit spawn.Exit) error {
	if exit.Err != nil {
		return fmt.Errorf("wait for services: %w", exit.Err)
	}
	for _, c := range b.children {
		if c.pid == exit.PID && !c.exited {
			c.exited, c.status = true, exit.Status
			b.gone = append(b.gone, c)
			// What it said last is still to be heard. The file can be waited for
			// with a bound: it is a pipe of package os.
			_ = c.notify.SetReadDeadline(time.Now().Add(lastWords))
			return nil
		}
	}
	b.reaper.Started() // an orphan: the one that was waited for is still there
	return nil
}

// heard takes over what a service said.
func (b *boot) heard(n notice) {
	c := n.from
	if n.lines == nil {
		c.silent = true
		return
	}
	for _, line := range n.lines {
		switch line.kind {
		case saysReady:
			c.ready = true
		case saysStatus:
			c.text = line.text
		case saysRefused:
			b.refused += line.count
		case saysStop:
			b.stopping = true
		case saysGarbage:
			if !c.garbage { // once is enough to find it
				b.c.Mark("nexus-init: " + c.service.Name + ": not understood on notify: " + strconv.Quote(line.text))
			}
			c.garbage = true
		}
	}
}

// reportMemory prints what each process uses.
func (b *boot) reportMemory() error {
	all, err := readUsage(b.c.Devices)
	if err != nil {
		return err
	}
	for _, u := range all {
		b.c.Mark(fmt.Sprintf("nexus-init: memory %s rss=%d KiB shared=%d KiB", b.nameOf(u), u.rss, u.shared))
	}
	return nil
}

// nameOf returns the manifest's name of a process, or the kernel's.
func (b *boot) nameOf(u usage) string {
	if u.pid == 1 {
		return "nexus-init"
	}
	for _, c := range b.children {
		if c.pid == u.pid {
			return c.service.Name
		}
	}
	return u.name
}

// end kills the services, the last started first, and waits for them within a
// bound. It names those that did not end.
func (b *boot) end() error {
	defer b.reaper.Close()
	defer close(b.stop)
	for _, inside := range b.inside {
		inside.Close()
	}
	for i := len(b.children) - 1; i >= 0; i-- {
		if c := b.children[i]; !c.exited {
			_ = syscall.Kill(c.pid, syscall.SIGKILL) // it may just have ended by itself
		}
	}
	timer := time.NewTimer(endBound)
	defer timer.Stop()
	for {
		alive := b.alive()
		if len(alive) == 0 {
			return nil
		}
		select {
		case exit := <-b.reaper.Exits():
			if err := b.exited(exit); err != nil {
				return err
			}
		case n := <-b.notices:
			b.heard(n)
		case <-timer.C:
			return &Failure{alive[0], ErrLate, fmt.Sprintf("did not end within %v after it was killed", endBound)}
		}
	}
}

// alive returns the names of the services whose process has not ended.
func (b *boot) alive() []string {
	var names []string
	for _, c := range b.children {
		if !c.exited {
			names = append(names, c.service.Name)
		}
	}
	return names
}
