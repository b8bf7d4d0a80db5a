// Trouble is a service that behaves as badly as its argument says. It runs on
// Nexus, in tests/boot.
package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Println("trouble: which?")
		os.Exit(125)
	}
	switch what := os.Args[1]; what {
	case "die":
		os.Exit(3)
	case "hang":
		time.Sleep(time.Hour)
	case "spin":
		//lint:ignore SA5002 spinning is this trouble
		for {
		}
	case "panic":
		panic("trouble")
	case "crash":
		var nowhere *int
		*nowhere = 1
	case "trap":
		// A fault that the Go runtime cannot take for a signal of its own.
		syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	case "eat":
		eat()
	case "fork":
		fork()
	case "open":
		open()
	case "talk":
		talk()
	default:
		fmt.Println("trouble: no such trouble:", what)
		os.Exit(125)
	}
}

// eat touches memory until there is none.
func eat() {
	var all [][]byte
	for {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		all = append(all, b)
		if len(all) > 1<<20 {
			fmt.Println(len(all[0]))
		}
	}
}

// fork starts itself, hanging, until it is refused.
func fork() {
	n := 0
	for {
		_, err := os.StartProcess("/proc/self/exe", []string{"trouble", "hang"}, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
		if err != nil {
			fmt.Println("trouble: refused after "+strconv.Itoa(n)+" processes:", err)
			os.Exit(3)
		}
		n++
	}
}

// open opens a file until it is refused.
func open() {
	for n := 0; ; n++ {
		if _, err := syscall.Open("/proc/self/exe", syscall.O_RDONLY, 0); err != nil {
			fmt.Println("trouble: refused after "+strconv.Itoa(n)+" descriptors:", err)
			os.Exit(3)
		}
	}
}

// talk prints without end.
func talk() {
	line := make([]byte, 1000)
	for i := range line {
		line[i] = 'x'
	}
	line[len(line)-1] = '\n'
	for {
		if _, err := os.Stdout.Write(line); err != nil {
			os.Exit(3)
		}
	}
}
