package tap

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// Usable tells why a TAP cannot be had here, or nil if it can.
func Usable() error {
	f, err := os.OpenFile(device, os.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err // names the file already
	}
	if err := f.Close(); err != nil {
		return err
	}
	// Opening is not all: the namespaces must be permitted too.
	if err := probe(probeTAP); err != nil {
		return fmt.Errorf("a private network namespace with a TAP: %w", err)
	}
	return nil
}

// Permitted tells why a private network namespace cannot be had here, or nil
// if it can.
func Permitted() error {
	if err := probe(probeNamespace); err != nil {
		return fmt.Errorf("a private network namespace: %w", err)
	}
	return nil
}

// Advice is what to do where Permitted gives an error.
const Advice = "run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, " +
	"user.max_user_namespaces and user.max_net_namespaces above 0, kernel.apparmor_restrict_unprivileged_userns=0)"

// One of these, as the only argument, makes Probe answer for the whole program.
const (
	probeTAP       = "tap-probe"
	probeNamespace = "namespace-probe"
)

// probe runs Probe in new namespaces.
func probe(what string) error {
	cmd := exec.Command("/proc/self/exe", what)
	cmd.SysProcAttr = namespaces()
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if out = bytes.TrimSpace(out); len(out) > 0 {
		return fmt.Errorf("%w: %s", err, out)
	}
	return err
}

// Probe must be called first by the main function of a program that uses
// Usable or Permitted: in the probing child it tries what is asked and ends the
// process.
func Probe() {
	if len(os.Args) != 2 {
		return
	}
	var err error
	switch os.Args[1] {
	case probeTAP:
		err = Setup("tapprobe")
	case probeNamespace:
		err = Loopback()
	default:
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// namespaces asks for a network namespace and, where the caller is not root, a
// user namespace in which it is.
func namespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() == 0 {
		return attr
	}
	attr.Cloneflags |= syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	return attr
}

// Detached asks for new namespaces and a session of its own, for a process that
// outlives this one.
func Detached() *syscall.SysProcAttr {
	attr := namespaces()
	attr.Setsid = true
	attr.Pdeathsig = 0
	return attr
}

// Run executes cmd in new namespaces and waits for it. The child dies with
// this process, whatever ends that.
func Run(cmd *exec.Cmd) error { return run(cmd, namespaces()) }

// Enclose is Run in a process namespace besides: whatever the child has started,
// and whoever disowned it, ends with the child, and so does the TAP.
func Enclose(cmd *exec.Cmd) error {
	attr := namespaces()
	attr.Cloneflags |= syscall.CLONE_NEWPID
	return run(cmd, attr)
}

// RunHere executes cmd in the namespaces of this process and waits for it. The
// child dies with this process.
func RunHere(cmd *exec.Cmd) error {
	return run(cmd, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL})
}

// run keeps its thread, whose end the parent-death signal is tied to.
func run(cmd *exec.Cmd, attr *syscall.SysProcAttr) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = attr
	return cmd.Run()
}
