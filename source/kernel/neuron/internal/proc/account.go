package proc

// Counts tells what is in use of the tables: processes, dead ones among them that nobody has waited for, threads, and places for
// a thread's further queues.
func Counts() (all, zombies, live, waits int) {
	for i := range processes {
		switch processes[i].state {
		case zombie:
			zombies++
			all++
		case alive:
			all++
		}
	}
	for i := range threads {
		if t := &threads[i]; t.state != dead {
			live++
		}
	}
	waits = freshPlaces
	for p := freedPlaces; p != nil; p = p.next {
		waits--
	}
	return all, zombies, live, waits
}

// Threads is how many of them are p's.
func (p *Process) Threads() int { return p.threads }
