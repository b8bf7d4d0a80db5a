package contract

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/frame"
)

// Pattern describes one frame; what is left out may be anything.
type Pattern struct {
	Kind  frame.Kind `json:"kind,omitempty"`  // arp.request, icmp.reply, udp, dhcp.ack, …
	From  string     `json:"from,omitempty"`  // "host" or "guest", by MAC
	Src   string     `json:"src,omitempty"`   // an address or a prefix
	Dst   string     `json:"dst,omitempty"`   //
	Sport uint16     `json:"sport,omitempty"` //
	Dport uint16     `json:"dport,omitempty"` //
	Len   string     `json:"len,omitempty"`   // of the frame: a number or "$group"
	// Echoes is the number (from 1) of an earlier pattern of the same list
	// whose frame this one answers: ends swapped, same ids, same payload.
	Echoes int `json:"echoes,omitempty"`

	src, dst netip.Prefix
}

func (p *Pattern) check(index int) error {
	if p.From != "" && p.From != "host" && p.From != "guest" {
		return fmt.Errorf("from %q", p.From)
	}
	if p.Echoes < 0 || p.Echoes > index {
		return errors.New("echoes no earlier frame of the list")
	}
	var err error
	if p.src, err = prefix(p.Src); err != nil {
		return err
	}
	p.dst, err = prefix(p.Dst)
	return err
}

// prefix reads an address or a prefix; "" is the invalid prefix.
func prefix(s string) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return a.Prefix(a.BitLen())
}

// String is the pattern as a person reads it.
func (p *Pattern) String() string {
	kind := string(p.Kind)
	if kind == "" {
		kind = "frame"
	}
	s := kind
	if p.From != "" {
		s += " from the " + p.From
	}
	if p.Src != "" {
		s += " src " + p.Src
	}
	if p.Dst != "" {
		s += " for " + p.Dst
	}
	if p.Sport != 0 {
		s += fmt.Sprintf(" sport %d", p.Sport)
	}
	if p.Dport != 0 {
		s += fmt.Sprintf(" port %d", p.Dport)
	}
	if p.Len != "" {
		s += " of " + p.Len + " bytes"
	}
	return s
}

// matches tells whether f is what p describes. found are the frames that the
// list's earlier patterns matched.
func (p *Pattern) matches(f *capture.Frame, groups map[string]string, found []*capture.Frame) bool {
	if p.Kind != "" && p.Kind != f.Kind {
		return false
	}
	if p.From != "" && (p.From == "guest") != f.FromGuest() {
		return false
	}
	if p.src.IsValid() && !p.src.Contains(f.SrcIP) || p.dst.IsValid() && !p.dst.Contains(f.DstIP) {
		return false
	}
	if p.Sport != 0 && p.Sport != f.SrcPort || p.Dport != 0 && p.Dport != f.DstPort {
		return false
	}
	if n, ok := number(p.Len, groups); p.Len != "" && (!ok || n != f.Len) {
		return false
	}
	return p.Echoes == 0 || echoes(f, found[p.Echoes-1])
}

// echoes tells whether f is the answer to q.
func echoes(f, q *capture.Frame) bool {
	return f.SrcIP == q.DstIP && f.DstIP == q.SrcIP &&
		f.SrcPort == q.DstPort && f.DstPort == q.SrcPort &&
		f.ID == q.ID && f.Seq == q.Seq && bytes.Equal(f.Payload, q.Payload)
}

// number resolves a number or "$group".
func number(s string, groups map[string]string) (int, bool) {
	if len(s) > 1 && s[0] == '$' {
		s = groups[s[1:]]
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0
}

// maxSteps bounds the search for one piece of evidence in a capture that a
// guest has flooded with questions nobody answered.
const maxSteps = 20_000_000

// search looks for patterns among frames.
type search struct {
	groups map[string]string
	steps  int
}

// find looks for the patterns in order; it gives a frame for each, or nil.
func find(patterns []Pattern, frames []*capture.Frame, groups map[string]string) []*capture.Frame {
	s := search{groups: groups}
	return s.find(patterns, frames, nil)
}

// find looks for patterns in frames, later frames for later patterns, trying every
// choice of frame for those that others echo. found are the frames of the
// patterns before. It gives the frames of all patterns, or nil.
func (s *search) find(patterns []Pattern, frames, found []*capture.Frame) []*capture.Frame {
	if len(patterns) == 0 {
		return found
	}
	for i, f := range frames {
		if s.steps++; s.steps > maxSteps {
			return nil
		}
		if !patterns[0].matches(f, s.groups, found) {
			continue
		}
		if all := s.find(patterns[1:], frames[i+1:], append(found, f)); all != nil {
			return all
		}
		if !echoed(patterns[1:], len(found)+1) {
			return nil // a later choice leaves fewer frames for the rest
		}
	}
	return nil
}

// echoed tells whether one of patterns echoes the frame of pattern number n.
func echoed(patterns []Pattern, n int) bool {
	for i := range patterns {
		if patterns[i].Echoes == n {
			return true
		}
	}
	return false
}
