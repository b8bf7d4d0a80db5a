package wait

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"nexus/source/kernel/neuron/internal/abi"
)

// sink notes who was told what, in order.
type sink struct {
	log   *[]int
	id    int
	leave bool // the queue when told
}

func (s *sink) Wake(w *Waiter, ev abi.Events) {
	*s.log = append(*s.log, s.id)
	if s.leave {
		w.Remove()
	}
}

// TestModel compares two queues with slices.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var queues [2]Queue
		var model [2][]int
		var log []int
		waiters := make([]Waiter, 6)
		for i := range waiters {
			waiters[i].Sink = &sink{&log, i, i%2 == 0}
			waiters[i].Mask = 1 << (i % 3)
		}
		remove := func(i int) {
			for q := range model {
				model[q] = slices.DeleteFunc(model[q], func(j int) bool { return i == j })
			}
		}
		some := rapid.IntRange(0, len(waiters)-1)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				q, i := rapid.IntRange(0, 1).Draw(t, "queue"), some.Draw(t, "waiter")
				queues[q].Add(&waiters[i])
				remove(i)
				model[q] = append(model[q], i)
			},
			"remove": func(t *rapid.T) {
				i := some.Draw(t, "waiter")
				waiters[i].Remove()
				remove(i)
			},
			"notify": func(t *rapid.T) {
				q := rapid.IntRange(0, 1).Draw(t, "queue")
				ev := rapid.SampledFrom([]abi.Events{1, 2, 3, 4, 7, 0, abi.EPOLLERR, abi.EPOLLHUP, 1 << 12}).Draw(t, "events")
				var want []int
				for _, i := range model[q] {
					if waiters[i].Mask&ev != 0 || ev&(abi.EPOLLERR|abi.EPOLLHUP) != 0 {
						want = append(want, i)
					}
				}
				log = nil
				queues[q].Notify(ev)
				if !slices.Equal(log, want) {
					t.Fatalf("told %v, want %v", log, want)
				}
				for _, i := range want {
					if i%2 == 0 {
						remove(i)
					}
				}
			},
			"": func(t *rapid.T) {
				for q := range queues {
					if queues[q].Empty() != (len(model[q]) == 0) {
						t.Fatalf("queue %d empty: %v, want %v", q, queues[q].Empty(), model[q])
					}
				}
				for i := range waiters {
					want := slices.Contains(model[0], i) || slices.Contains(model[1], i)
					if waiters[i].Waiting() != want {
						t.Fatalf("waiter %d waits: %v, want %v", i, !want, want)
					}
				}
			},
		})
	})
}

// A hook is a sink that does something when it is told.
type hook func()

func (h hook) Wake(*Waiter, abi.Events) { h() }

// TestWakeTakesOthersOff: who is told may take others off the queue, those that come next included; whoever stays is told.
func TestWakeTakesOthersOff(t *testing.T) {
	for _, tt := range []struct {
		off, want []int // whom waiter 1 of 0 to 4 takes off
	}{
		{[]int{2}, []int{0, 1, 3, 4}},
		{[]int{2, 3}, []int{0, 1, 4}},
		{[]int{3, 2}, []int{0, 1, 4}},
		{[]int{1, 2}, []int{0, 1, 3, 4}},
		{[]int{0}, []int{0, 1, 2, 3, 4}},
		{[]int{2, 3, 4}, []int{0, 1}},
		{[]int{4}, []int{0, 1, 2, 3}},
	} {
		var q, other Queue
		var told []int
		waiters := make([]Waiter, 5)
		for i := range waiters {
			waiters[i].Mask = abi.EPOLLIN
			waiters[i].Sink = hook(func() {
				if told = append(told, i); i != 1 || q.Empty() {
					return
				}
				for _, k := range tt.off {
					waiters[k].Remove()
					other.Add(&waiters[k]) // it may wait elsewhere at once
				}
			})
			q.Add(&waiters[i])
		}
		q.Notify(abi.EPOLLIN)
		if !slices.Equal(told, tt.want) {
			t.Errorf("taking off %v: told %v, want %v", tt.off, told, tt.want)
		}
		for i := range waiters {
			if waiters[i].queue == &q {
				waiters[i].Remove()
			}
		}
		told = nil
		other.Notify(abi.EPOLLIN)
		if len(told) != len(tt.off) {
			t.Errorf("taking off %v: told elsewhere %v", tt.off, told)
		}
	}
}

// TestGone: an object that somebody waits for is not closed.
func TestGone(t *testing.T) {
	var q Queue
	w := Waiter{Sink: hook(func() {})}
	q.Add(&w)
	func() {
		defer func() {
			const want = "wait: an object is closed while somebody waits for it"
			if got := recover(); got != want {
				t.Errorf("got %v, want a panic: %s", got, want)
			}
		}()
		q.Gone()
	}()
	w.Remove()
	q.Gone()
}

// TestWakeMustNot: what would make a walk endless ends the machine.
func TestWakeMustNot(t *testing.T) {
	for _, tt := range []struct {
		what string
		wake func(q *Queue)
	}{
		{"wait: a waiter is added while the queue is notified", func(q *Queue) { q.Add(new(Waiter)) }},
		{"wait: a queue is notified while it is notified", func(q *Queue) { q.Notify(abi.EPOLLIN) }},
	} {
		func() {
			defer func() {
				if got := recover(); got != tt.what {
					t.Errorf("got %v, want a panic: %s", got, tt.what)
				}
			}()
			var q Queue
			q.Add(&Waiter{Mask: abi.EPOLLIN, Sink: hook(func() { tt.wake(&q) })})
			q.Notify(abi.EPOLLIN)
		}()
	}
}
