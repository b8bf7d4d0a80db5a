package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Descriptors that a parent has open with and without FD_CLOEXEC.
const (
	closing = 50
	staying = 51
)

// firstThread is the id of the one that initialises packages, which is the process's first.
var firstThread = unix.Gettid()

// child is what this program does when it runs itself.
func child(mode string, args []string) {
	switch mode {
	case "child-exit":
		os.Exit(7)
	case "child-exec-from-thread":
		done := make(chan error)
		go func() {
			runtime.LockOSThread()
			if unix.Gettid() != unix.Getpid() {
				done <- unix.Exec("/proc/self/exe", []string{"transcript", "child-leader"}, nil)
			}
			go func() { // this one has another thread
				runtime.LockOSThread()
				done <- unix.Exec("/proc/self/exe", []string{"transcript", "child-leader"}, nil)
			}()
			select {}
		}()
		<-done
	case "child-leader":
		if firstThread != unix.Getpid() {
			os.Exit(1)
		}
		os.Exit(6)
	case "child-exit-from-thread":
		go func() {
			runtime.LockOSThread()
			os.Exit(9)
		}()
		select {}
	case "child-wait":
		buffer := make([]byte, 1)
		os.Stdin.Read(buffer)
	case "child-kill":
		unix.Kill(unix.Getpid(), unix.SIGKILL)
		select {}
	case "child-broken-pipe":
		os.Stdout.WriteString("x")
		os.Exit(1)
	case "child-overflow":
		debug.SetMaxStack(1 << 20)
		os.Stdout.WriteString(fmt.Sprint(deep(0)))
	case "child-say":
		directory, err := os.Getwd()
		fmt.Printf("arguments %q, ABI_VALUE=%q, in %s, %v, parent is %v\n", args, os.Getenv("ABI_VALUE"), filepath.Base(directory), err,
			fmt.Sprint(os.Getppid()) == os.Getenv("ABI_PARENT"))
		for _, fd := range []int{3, closing, staying} {
			buffer := make([]byte, 16)
			n, err := unix.Read(fd, buffer)
			fmt.Printf("descriptor %d: %q %s\n", fd, buffer[:max(n, 0)], name(err))
		}
	default:
		os.Exit(100)
	}
}

// deep calls itself until n is negative.
func deep(n int) int {
	if n < 0 {
		return 0
	}
	return deep(n+1) + 1
}

// runChild runs this program in another mode, silently, and waits for it.
func runChild(mode string, stdout *os.File) syscall.WaitStatus {
	command := exec.Command("/proc/self/exe", mode)
	if stdout != nil {
		command.Stdout = stdout
	}
	command.Run()
	if command.ProcessState == nil {
		return 0xff00
	}
	return command.ProcessState.Sys().(syscall.WaitStatus)
}

func status(s syscall.WaitStatus) string {
	if s.Signaled() {
		return "killed by " + unix.SignalName(s.Signal())
	}
	return fmt.Sprintf("exit status %d", s.ExitStatus())
}

func processes(r *report) {
	r.say("exit", "%s", status(runChild("child-exit", nil)))
	r.say("exec from another thread", "%s", status(runChild("child-exec-from-thread", nil)))
	r.say("exit_group from a second thread", "%s", status(runChild("child-exit-from-thread", nil)))
	r.say("SIGKILL", "%s", status(runChild("child-kill", nil)))
	read, write := must2(os.Pipe())
	read.Close()
	r.say("write to a broken pipe on descriptor 1", "%s", status(runChild("child-broken-pipe", write)))
	write.Close()

	inherit(r)
	waits(r)
	refusedPrograms(r)
}

func must2[A, B any](a A, b B, err error) (A, B) {
	must(0, err)
	return a, b
}

// inherit gives a child arguments, environment, directory and descriptors.
func inherit(r *report) {
	read, write := must2(os.Pipe())
	write.WriteString("inherited")
	file := must(unix.Open(filepath.Join(fixture, "hello.txt"), unix.O_RDONLY|unix.O_CLOEXEC, 0))
	must(unix.FcntlInt(uintptr(file), unix.F_DUPFD_CLOEXEC, closing))
	must(unix.FcntlInt(uintptr(file), unix.F_DUPFD, staying))
	command := exec.Command("/proc/self/exe", "child-say", "one", "", "three words here")
	command.Env = []string{"ABI_VALUE=a=b c", fmt.Sprintf("ABI_PARENT=%d", os.Getpid())}
	command.Dir = filepath.Join(fixture, "dir")
	command.ExtraFiles = []*os.File{read}
	out, err := command.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		r.say("a child", "%s", strings.TrimSpace(line))
	}
	r.say("a child", "%v", err)
	read.Close()
	write.Close()
	closeAll(file, closing, staying)
}

// waits calls wait4 and waitid on a child that runs, and on one that ended.
func waits(r *report) {
	var ws unix.WaitStatus
	wait4 := func(what string, pid, options int) {
		got, err := again(func() (int, error) { return unix.Wait4(pid, &ws, options, nil) })
		switch {
		case err != nil || got == 0:
			r.number(what, got, err)
		default:
			r.say(what, "%s", status(syscall.WaitStatus(ws)))
		}
	}
	wait4("wait4 without children", -1, 0)
	wait4("wait4 for a stranger", 1<<22-1, 0)
	wait4("wait4 with bad options", -1, 1<<20)

	start := func(mode string, stdin int) int {
		return must(syscall.ForkExec("/proc/self/exe", []string{"abi", mode}, &syscall.ProcAttr{Files: []uintptr{uintptr(stdin), 1, 2}}))
	}
	read, write := pipe2(0)
	pid := start("child-wait", read)
	wait4("wait4 with WNOHANG for one that runs", pid, unix.WNOHANG)
	r.err("kill 0", unix.Kill(pid, 0))
	unix.Kill(pid, unix.SIGTERM)
	wait4("wait4 for a terminated one", pid, 0)
	r.err("kill 0 after wait4", unix.Kill(pid, 0))
	wait4("wait4 again", pid, 0)

	pid = start("child-exit", read)
	// siginfo_t: signo, errno, code at 0, 4, 8; pid, uid, status at 16, 20, 24.
	info := new([32]int32)
	waitid := func(what string, options int) {
		*info = [32]int32{}
		_, err := again(func() (int, error) {
			return raw(unix.SYS_WAITID, unix.P_PID, uintptr(pid), address(info), uintptr(options), 0)
		})
		r.say(what, "%s, signal %d, code %d, status %d, pid %v", name(err), info[0], info[2], info[6], info[4] == int32(pid))
	}
	waitid("waitid with WNOWAIT", unix.WEXITED|unix.WNOWAIT)
	waitid("waitid", unix.WEXITED)
	waitid("waitid again", unix.WEXITED)
	waitid("waitid without options", 0)
	for _, id := range []int{-5, 0} {
		_, err := again(func() (int, error) {
			return raw(unix.SYS_WAITID, unix.P_PID, uintptr(id), 0, unix.WEXITED|unix.WNOHANG, 0)
		})
		r.err(fmt.Sprint("waitid for process ", id), err)
	}
	_, err := again(func() (int, error) { return unix.Wait4(-(1<<22 - 1), nil, unix.WNOHANG, nil) })
	r.err("wait4 for a group that is not there", err)
	pid = start("child-kill", read)
	waitid("waitid for a killed one", unix.WEXITED)
	closeAll(read, write)
}

// refusedPrograms executes what cannot be executed.
func refusedPrograms(r *report) {
	for _, tc := range []struct{ what, path string }{
		{"execute nothing", filepath.Join(fixture, "none")},
		{"execute below a file", filepath.Join(fixture, "hello.txt/x")},
		{"execute a directory", filepath.Join(fixture, "dir")},
		{"execute a file without permission", filepath.Join(fixture, "hello.txt")},
		{"execute text", filepath.Join(fixture, "script")},
		{"execute an empty file", filepath.Join(fixture, "empty-program")},
		{"execute an ELF header without more", filepath.Join(fixture, "cut-program")},
	} {
		_, err := syscall.ForkExec(tc.path, []string{"x"}, &syscall.ProcAttr{})
		r.err(tc.what, err)
	}
	_, err := syscall.ForkExec("/proc/self/exe", []string{"abi", "child-exit"}, &syscall.ProcAttr{Dir: filepath.Join(fixture, "none")})
	r.err("execute in a directory that is not there", err)
}
