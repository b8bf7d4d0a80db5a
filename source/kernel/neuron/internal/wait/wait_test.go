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
