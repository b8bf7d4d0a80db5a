package guard

import "time"

// bucket is a token bucket: rate events a second in the long run, burst at once. It begins full.
type bucket struct {
	rate, burst int64
	started     bool
	filled      time.Duration // when level was right
	level       int64         // tokens
}

// take takes a token if there is one.
func (b *bucket) take(now time.Duration) bool {
	if !b.started {
		b.started, b.filled, b.level = true, now, b.burst
	}
	if now > b.filled {
		gap := min(now-b.filled, time.Hour) // keeps the product in range
		gained := int64(gap) * b.rate / int64(time.Second)
		if b.level+gained >= b.burst {
			b.level, b.filled = b.burst, now
		} else if gained > 0 {
			b.level += gained
			b.filled += time.Duration(gained * int64(time.Second) / b.rate)
		}
	}
	if b.level == 0 {
		return false
	}
	b.level--
	return true
}
