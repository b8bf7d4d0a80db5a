// Package contract is the marker contract: which lines a boot prints, in which
// order, who owns each, and what must be found outside the guest for a line to
// be believed. The contract is data (tests/contract/markers.json); this package
// reads it and judges a boot's console and capture by it.
package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"nexus/source/libs/named"
)

// ErrInvalid says that a contract contradicts itself or cannot be read.
var ErrInvalid = errors.New("contract: invalid")

// Contract is the whole of markers.json.
type Contract struct {
	About     string   `json:"about"`
	Markers   []Marker `json:"markers"`
	Forbidden []Rule   `json:"forbidden"` // lines that must not appear
	// Varies are lines that may differ between boots that count instructions.
	Varies []Rule `json:"varies"`
	// BudgetMS bounds the time from exec of QEMU to the last marker.
	BudgetMS int `json:"budget_ms"`
	// Exit is the status QEMU must end with.
	Exit int `json:"exit"`
}

// Marker is one line that must appear.
type Marker struct {
	ID    string `json:"id"`
	Owner string `json:"owner"`
	// Line is a regular expression for the whole line. Its named groups can be
	// used in the evidence as "$name".
	Line string `json:"line"`
	// When limits the marker to boots of these kinds: a mode's name to its
	// values, e.g. {"net": ["stub"]}. In other boots it must not appear.
	When map[string][]string `json:"when,omitempty"`
	// Elsewhere allows the line in other boots too, where it means nothing.
	Elsewhere bool `json:"elsewhere,omitempty"`
	// After names markers that must have appeared first. Without it, the
	// marker follows the one before it in the list.
	After *[]string `json:"after,omitempty"`
	// Before names a marker that must not have appeared yet.
	Before string `json:"before,omitempty"`
	// Repeats allows the line more than once; else a second one is a failure.
	Repeats bool `json:"repeats,omitempty"`
	// WithinMS bounds the time from exec of QEMU; 0 is the contract's budget.
	WithinMS int `json:"within_ms,omitempty"`
	// Evidence must all be found. A marker that only the guest can know about
	// says why in Unproven instead.
	Evidence []Evidence `json:"evidence,omitempty"`
	Unproven string     `json:"unproven,omitempty"`

	line *regexp.Regexp
}

// Rule says something of the lines that match a regular expression.
type Rule struct {
	Line string `json:"line"`
	Why  string `json:"why"`
	line *regexp.Regexp
}

// Evidence is one thing outside the console that must be so. Exactly one of
// its fields is set, When and Earlier aside.
type Evidence struct {
	// When limits the evidence to boots of these kinds, as Marker.When does: where
	// it cannot be had.
	When map[string][]string `json:"when,omitempty"`
	// Earlier says that the line tells of something past: what the host sent
	// of the evidence must have left before the line was printed. (The guest's
	// own frames may be seen a little later than its console.)
	Earlier bool `json:"earlier,omitempty"`

	// Frames must be in the capture, in this order; others may be between.
	Frames []Pattern `json:"frames,omitempty"`
	// NoFrame must match no frame of the capture.
	NoFrame *Pattern `json:"no_frame,omitempty"`
	// Host is a question the host asked the guest, with success.
	Host string `json:"host,omitempty"`
	// HTTP is an exchange in the capture.
	HTTP *HTTP `json:"http,omitempty"`
	// File is a file of the boot archive.
	File *File `json:"file,omitempty"`
}

// File is a file of the boot archive with its size.
type File struct {
	Path string `json:"path"`
	Size string `json:"size"` // bytes: a number or "$group"
}

// HTTP is a request from the guest and a complete 200 answer to it, each on a
// connection of its own.
type HTTP struct {
	Port uint16 `json:"port"` // the host's
	Path string `json:"path"`
	Size string `json:"size"` // of the body in bytes: a number or "$group"
	// Times is how often at least; 0 is once.
	Times int `json:"times,omitempty"`
}

// Mode is what kind of boot it was, e.g. {"net": "stub", "nic": "tap"}.
type Mode map[string]string

// maxSize bounds a contract, in bytes.
const maxSize = 1 << 20

// Load reads and checks the contract in file path.
func Load(path string) (*Contract, error) {
	data, err := named.Read(path, maxSize)
	if err != nil {
		return nil, fmt.Errorf("contract: %w; Nexus's is tests/contract/markers.json in the repository", err)
	}
	c, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Parse reads and checks a contract. Unknown fields are errors.
func Parse(data []byte) (*Contract, error) {
	in := json.NewDecoder(bytes.NewReader(data))
	in.DisallowUnknownFields()
	c := new(Contract)
	if err := in.Decode(c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return c, nil
}

func (c *Contract) check() error {
	if len(c.Markers) == 0 || c.BudgetMS <= 0 {
		return errors.New("markers and budget_ms are needed")
	}
	seen := map[string]bool{}
	for i := range c.Markers {
		m := &c.Markers[i]
		if m.ID == "" || m.Owner == "" || seen[m.ID] {
			return fmt.Errorf("marker %d: id %q is empty or used twice, or it has no owner", i, m.ID)
		}
		if err := m.check(seen); err != nil {
			return fmt.Errorf("marker %s: %w", m.ID, err)
		}
		seen[m.ID] = true
	}
	for _, m := range c.Markers {
		if m.Before != "" && !seen[m.Before] {
			return fmt.Errorf("marker %s: before %q, which is no marker", m.ID, m.Before)
		}
	}
	for _, rules := range [][]Rule{c.Forbidden, c.Varies} {
		for i := range rules {
			if err := rules[i].check(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Rule) check() error {
	var err error
	if r.line, err = regexp.Compile(r.Line); err != nil {
		return err
	}
	if r.Line == "" || r.Why == "" {
		return fmt.Errorf("the rule for lines like %q needs a pattern and a reason", r.Line)
	}
	return nil
}

// MayVary tells whether a line may differ between boots that count
// instructions.
func (c *Contract) MayVary(line string) bool {
	return slices.ContainsFunc(c.Varies, func(r Rule) bool { return r.line.MatchString(line) })
}

// check compiles m; earlier are the markers that may be named in after.
func (m *Marker) check(earlier map[string]bool) error {
	var err error
	if m.line, err = regexp.Compile("^(?:" + m.Line + ")$"); err != nil {
		return err
	}
	if m.Line == "" {
		return errors.New("an empty line")
	}
	if m.After != nil {
		for _, id := range *m.After {
			if !earlier[id] {
				return fmt.Errorf("after %q, which is not an earlier marker", id)
			}
		}
	}
	if (len(m.Evidence) == 0) == (m.Unproven == "") {
		return errors.New("needs either evidence or the reason why there is none")
	}
	for i := range m.Evidence {
		if err := m.Evidence[i].check(m.line.SubexpNames()); err != nil {
			return fmt.Errorf("evidence %d: %w", i, err)
		}
	}
	return nil
}

// check allows values that start with $ only if groups has their name.
func (e *Evidence) check(groups []string) error {
	set := 0
	var values []string
	if len(e.Frames) > 0 {
		set++
		for i := range e.Frames {
			values = append(values, e.Frames[i].Len)
			if err := e.Frames[i].check(i); err != nil {
				return fmt.Errorf("frame %d: %w", i, err)
			}
		}
	}
	if e.NoFrame != nil {
		set++
		values = append(values, e.NoFrame.Len)
		if err := e.NoFrame.check(0); err != nil {
			return err
		}
	}
	if e.Host != "" {
		set++
	}
	if e.HTTP != nil {
		set++
		values = append(values, e.HTTP.Size)
	}
	if e.File != nil {
		set++
		values = append(values, e.File.Size)
	}
	if set != 1 {
		return errors.New("needs exactly one of frames, no_frame, host, http, file")
	}
	if e.Earlier && len(e.Frames) == 0 && e.HTTP == nil {
		return errors.New("earlier is for frames and http")
	}
	for _, v := range values {
		if len(v) > 0 && v[0] == '$' && !slices.Contains(groups, v[1:]) {
			return fmt.Errorf("%s is no group of the line", v)
		}
	}
	return nil
}

// is tells whether mode is of the kinds that when names.
func (mode Mode) is(when map[string][]string) bool {
	for name, values := range when {
		if !slices.Contains(values, mode[name]) {
			return false
		}
	}
	return true
}

// Budget bounds the time from exec of QEMU to the last marker.
func (c *Contract) Budget() time.Duration { return time.Duration(c.BudgetMS) * time.Millisecond }

// within is m's time bound.
func (c *Contract) within(m *Marker) time.Duration {
	ms := m.WithinMS
	if ms == 0 {
		ms = c.BudgetMS
	}
	return time.Duration(ms) * time.Millisecond
}
