package frame

import "sync"

// Watchers are the functions that want to see each frame that arrives at one
// end of the wire. The zero value is ready.
type Watchers struct {
	mu   sync.Mutex
	list []*watcher
}

type watcher struct{ see func([]byte) }

// Watch has see called with each frame until the returned function is called.
// see must not keep or change the frame.
func (w *Watchers) Watch(see func(frame []byte)) (stop func()) {
	added := &watcher{see}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, added)
	return func() { w.remove(added) }
}

// remove makes a new list, as Deliver may be walking the old one.
func (w *Watchers) remove(gone *watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var rest []*watcher
	for _, x := range w.list {
		if x != gone {
			rest = append(rest, x)
		}
	}
	w.list = rest
}

// Deliver shows frame to the watchers in the order in which they came. They may
// watch and stop watching meanwhile.
func (w *Watchers) Deliver(frame []byte) {
	w.mu.Lock()
	list := w.list[:len(w.list):len(w.list)]
	w.mu.Unlock()
	for _, x := range list {
		x.see(frame)
	}
}
