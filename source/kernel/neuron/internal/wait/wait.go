// Package wait lets threads and epoll instances wait for an object of the kernel to change.
//
// An object owns a Queue and calls Notify when it becomes ready; whoever waits owns a Waiter, which is on at most one
// queue. The kernel runs under one lock and is not preempted, so that nothing can change between looking at an object
// and joining its queue.
package wait

import "nexus/source/kernel/neuron/internal/abi"

// A Sink is told when the object it waits for has changed. Wake may take any waiter off the queue, w or another, which is then not
// told any more; it adds none and does not notify the queue again.
type Sink interface {
	Wake(w *Waiter, ev abi.Events)
}

// A Waiter is one place in a queue.
type Waiter struct {
	// Sink is told, if one of the events in Mask occurs. EPOLLERR and EPOLLHUP are always told.
	Sink Sink
	Mask abi.Events

	queue      *Queue
	next, prev *Waiter
}

// A Queue is the list of those who wait for an object, oldest first. The zero Queue is empty.
type Queue struct {
	first, last *Waiter
	next        *Waiter // while it is notified: who is looked at next
	told        bool    // it is being notified
}

// Empty reports whether nobody waits.
func (q *Queue) Empty() bool { return q.first == nil }

// Add puts w at the end of the queue. If w waits elsewhere it is moved.
func (q *Queue) Add(w *Waiter) {
	if q.told {
		panic("wait: a waiter is added while the queue is notified")
	}
	w.Remove()
	w.queue, w.prev, w.next = q, q.last, nil
	if q.last != nil {
		q.last.next = w
	} else {
		q.first = w
	}
	q.last = w
}

// Gone is told when the object that owns q is closed. Nobody waits then: who does has a reference to the object's file.
func (q *Queue) Gone() {
	if q.first != nil {
		panic("wait: an object is closed while somebody waits for it")
	}
}

// Waiting reports whether w is on a queue.
func (w *Waiter) Waiting() bool { return w.queue != nil }

// Remove takes w off its queue, if it is on one.
func (w *Waiter) Remove() {
	q := w.queue
	if q == nil {
		return
	}
	if q.next == w {
		q.next = w.next
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		q.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		q.last = w.prev
	}
	w.queue, w.next, w.prev = nil, nil, nil
}

// Notify tells every waiter that wants one of the events ev.
func (q *Queue) Notify(ev abi.Events) {
	if q.told {
		panic("wait: a queue is notified while it is notified")
	}
	q.told = true
	for w := q.first; w != nil; w = q.next {
		q.next = w.next
		if (w.Mask|abi.EPOLLERR|abi.EPOLLHUP)&ev != 0 {
			w.Sink.Wake(w, ev)
		}
	}
	q.told = false
}
