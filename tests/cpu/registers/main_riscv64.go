// Registers is an /init whose processes and threads keep patterns in the floating-point and vector registers while signals and
// switches come and go, and look whether they find another's.
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func float(seed, turns uint64, f *[32]uint64)
func vector(seed, turns uint64, v *[4096]byte) uint64
func look(v *[4096]byte) uint64

const (
	processes = 3
	threads   = 3
	rounds    = 8
	turns     = 300_000
	tag       = 0x5eed << 48
)

func main() {
	if len(os.Args) > 1 {
		n, _ := strconv.ParseUint(os.Args[1], 10, 64)
		os.Exit(child(n, hasVector()))
	}
	fmt.Println("registers: vector", hasVector())
	var all sync.WaitGroup
	bad := 0
	for n := range processes {
		all.Add(1)
		go func() {
			defer all.Done()
			for again := range 2 {
				c := exec.Command("/init", strconv.Itoa(n+processes*again+1))
				c.Stdout = os.Stdout
				if err := c.Run(); err != nil {
					fmt.Println("registers: wrong:", err)
					bad++
				}
			}
		}()
	}
	all.Wait()
	if bad == 0 {
		fmt.Println("registers: ok")
	}
}

func child(n uint64, v bool) int {
	var buffer [4096]byte
	if v {
		if bad := foreign(buffer[:32*look(&buffer)], 0); bad != 0 {
			fmt.Printf("registers: process %d begins with %#x\n", n, bad)
			return 1
		}
	}
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGUSR1)
	go func() {
		for range got {
		}
	}()
	var all sync.WaitGroup
	results := make([]int, threads)
	stop := make(chan bool)
	for i := range threads {
		all.Add(1)
		go func() {
			defer all.Done()
			runtime.LockOSThread()
			results[i] = thread(tag|n<<32|uint64(i)<<16, v)
		}()
	}
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
				_ = syscall.Kill(os.Getpid(), syscall.SIGUSR1)
			}
		}
	}()
	all.Wait()
	close(stop)
	for _, r := range results {
		if r != 0 {
			return r
		}
	}
	return 0
}

func thread(seed uint64, v bool) int {
	for r := range uint64(rounds) {
		want := seed | r
		var f [32]uint64
		float(want, turns, &f)
		for i, got := range f {
			if got != want {
				fmt.Printf("registers: f%d is %#x, want %#x\n", i, got, want)
				return 1
			}
		}
		if !v {
			continue
		}
		var b [4096]byte
		state := vector(want, turns, &b)
		if vl := state >> 8; vl != 3 {
			fmt.Printf("registers: vl is %d, want 3\n", vl)
			return 1
		}
		if bad := foreign(b[:32*(state&0xff)], want); bad != 0 {
			fmt.Printf("registers: a vector register has %#x, want %#x\n", bad, want)
			return 1
		}
	}
	return 0
}

// foreign is a pattern in b other than own; without an own one, whatever is tagged.
func foreign(b []byte, own uint64) uint64 {
	for i := 0; i < len(b); i += 8 {
		got := binary.LittleEndian.Uint64(b[i:])
		if own != 0 && got != own {
			return got | 1<<63
		}
		if own == 0 && got>>48 == tag>>48 {
			return got
		}
	}
	return 0
}
