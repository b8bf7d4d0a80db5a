package proc

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/vm"
)

// futexWait is a place in the list of those who wait for a word of memory.
type futexWait struct {
	key        vm.Key
	next, prev *futexWait
	thread     *Thread
}

const futexBuckets = 256

// futexes are ring lists; their heads are made on first use.
var futexes [futexBuckets]futexWait

func bucket(key vm.Key) *futexWait {
	b := &futexes[key.Hash(futexBuckets)]
	if b.next == nil {
		b.next, b.prev = b, b
	}
	return b
}

func (f *futexWait) remove() {
	if f.thread == nil {
		return
	}
	f.prev.next, f.next.prev = f.next, f.prev
	f.next, f.prev, f.thread = nil, nil, nil
}

// WaitFutex puts t to sleep until a Wake of key, which completes the call with 0, or until the deadline that Expired set, when the call
// is made again.
func (t *Thread) WaitFutex(key vm.Key) abi.Errno {
	b := bucket(key)
	f := &t.word
	if f.thread != nil {
		panic("proc: a thread waits for two words")
	}
	*f = futexWait{key: key, next: b, prev: b.prev, thread: t}
	b.prev.next, b.prev = f, f
	return t.sleep(onWord)
}

// Wake wakes up to n threads that wait for key, oldest first, and returns how many.
func Wake(key vm.Key, n int) int {
	b := bucket(key)
	woken := 0
	for f := b.next; f != b && woken < n; {
		next := f.next
		if f.key == key {
			if f.thread.phase != onWord {
				panic("proc: a wake reaches a thread that does not wait for it")
			}
			f.thread.Finish(0, abi.OK)
			woken++
		}
		f = next
	}
	return woken
}
