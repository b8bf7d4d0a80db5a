// Clock is an /init that needs the timer: it sleeps, and preempts a goroutine that never yields.
package main

import (
	"fmt"
	"sync/atomic"
	"time"
)

func main() {
	var turns atomic.Uint64
	go func() {
		for {
			turns.Add(1)
		}
	}()
	begin := time.Now()
	for range 5 {
		time.Sleep(10 * time.Millisecond)
	}
	if took := time.Since(begin); took < 50*time.Millisecond || took > 10*time.Second || turns.Load() == 0 {
		fmt.Println("clock: wrong:", took, turns.Load())
		return
	}
	fmt.Println("clock: ok")
}
