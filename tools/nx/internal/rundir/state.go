package rundir

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Phase is where a guest is in its life.
type Phase string

// Phases. A runner writes the first three; Died is what a reader makes of a
// guest that did not end and has no runner.
const (
	Booting  Phase = "booting"
	Standing Phase = "standing" // it serves on after its verdict
	Ended    Phase = "ended"
	Died     Phase = "died"
)

// Running tells whether a guest of this phase has a runner.
func (p Phase) Running() bool { return p == Booting || p == Standing }

// State is what guest.json says of a guest.
type State struct {
	Name    string    `json:"name"`
	Phase   Phase     `json:"phase"`
	PID     int       `json:"pid"`                // of the runner, nx
	QEMU    int       `json:"qemu_pid,omitempty"` // of QEMU, once it was executed
	NIC     string    `json:"nic"`
	Net     string    `json:"net"`
	Profile string    `json:"profile"`
	Memory  int       `json:"memory_mib"`
	SMP     int       `json:"smp"`
	Started time.Time `json:"started"`           // UTC
	Ended   time.Time `json:"ended_at,omitzero"` // UTC
	Verdict *Verdict  `json:"verdict,omitempty"` // nil before there is one
	Why     string    `json:"ended,omitempty"`   // how it ended, in words
	Exit    int       `json:"exit"`              // nx's status, once it ended
}

// Verdict is a boot's verdict in short.
type Verdict struct {
	Proven  bool          `json:"proven"`
	Markers int           `json:"markers"`
	Evident int           `json:"with_evidence"`
	Failure string        `json:"failure,omitempty"` // the first of them
	Took    time.Duration `json:"took_ns"`
}

// maxState bounds a guest.json that is read.
const maxState = 64 << 10

// readState reads the state of the guest in folder dir.
func readState(dir string) (State, error) {
	var s State
	f, err := os.Open(filepath.Join(dir, StateFile))
	if err != nil {
		return s, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxState))
	if err != nil {
		return s, err
	}
	return parseState(data)
}

// parseState takes nothing for granted that others act upon.
func parseState(data []byte) (State, error) {
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return State{}, fmt.Errorf("%s: %w", StateFile, err)
	}
	switch {
	case s.PID <= 1 || s.QEMU < 0 || s.QEMU == 1:
		return State{}, fmt.Errorf("%s: %d and %d are not the processes of a guest", StateFile, s.PID, s.QEMU)
	case !s.Phase.Running() && s.Phase != Ended:
		return State{}, fmt.Errorf("%s: unknown phase %q", StateFile, s.Phase)
	}
	return s, nil
}
