package contract

import (
	"slices"
	"testing"
	"time"
)

// What is waited for is the first marker of the sequence that is missing; one
// that may come at another time as well is not, while there is one in sequence.
func TestNext(t *testing.T) {
	c, err := Parse([]byte(`{"budget_ms": 1000, "markers": [
		{"id": "a", "owner": "o", "line": "A", "unproven": "test"},
		{"id": "any", "owner": "o", "line": "ANY", "after": ["a"], "unproven": "test"},
		{"id": "b", "owner": "o", "line": "B", "unproven": "test"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	track := c.Track(Mode{})
	var waited []string
	for _, line := range []string{"A", "B", "noise", "ANY"} {
		waited = append(waited, track.Next().ID)
		track.Feed(Line{time.Millisecond, line})
	}
	if want := []string{"a", "b", "any", "any"}; !slices.Equal(waited, want) {
		t.Errorf("waited for %q, want %q", waited, want)
	}
	if m := track.Next(); m != nil || !track.Complete() {
		t.Errorf("at the end: waiting for %v", m)
	}
}
