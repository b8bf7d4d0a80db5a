// Package doctor names what is wrong with a Nexus and what to do about it.
//
// It is pure: facts go in (what this machine has, what a guest printed and put on the wire, what a running guest answers),
// findings come out, always in the same order. Who gathers the facts is not its business, but for those that a running
// guest tells, which Ask gets over net.capnp.
package doctor

import (
	"net/netip"
	"time"

	"nexus/source/api/netapi"
)

// Facts are what is known. What could not be found out is left empty, and no conclusion is drawn from it.
type Facts struct {
	Host Host
	Boot *Boot // the guest asked about; nil: there is none
	Live *Live // what it answers; nil: it does not run
}

// Host is the machine that QEMU runs on. Nil errors mean that the thing is there; each text says what to do.
type Host struct {
	QEMU       string // version, when there is one
	QEMUError  error  // missing or too old
	Firmware   error
	Files      []error // what `make build` makes and cannot be read
	TAP        error
	Namespaces error // private network namespaces
}

// Boot is one guest's boot, from outside.
type Boot struct {
	Name    string
	NIC     string // tap, wire, user or none
	Net     string // stub, static or dhcp
	Running bool
	Died    bool // without a word: it was killed, or this machine was turned off
	Proven  bool
	Ended   string   // how the machine ended, in words
	QEMU    []string // its command line
	Stderr  string   // what QEMU said itself
	Console []string
	Frames  []Frame

	// Failures are what the marker contract says of the boot.
	Failures []string
}

// Frame is one that crossed the wire.
type Frame struct {
	At        time.Duration // since the exec of QEMU
	FromGuest bool
	Kind      string // in the words of the marker contract: arp.request, dhcp.discover, …
	SrcIP     netip.Addr
	DstIP     netip.Addr // of ARP: who is asked for
}

// Live is what a running guest answers.
type Live struct {
	Error      error // why it does not answer at all
	Interfaces []netapi.Interface
	Neighbours []netapi.Neighbour
	Counters   map[string]uint64 // of netstackd and virtionetd; names never meet
	Pings      []Ping            // the gateway first, if there is one
}

// Ping is how one address answered.
type Ping struct {
	To        netip.Addr
	Gateway   bool
	Sent, Got int
	Error     error // why it could not be asked
}

// Level says how bad a finding is.
type Level string

// Levels.
const (
	OK      Level = "ok"
	Note    Level = "note"    // good to know
	Warning Level = "warning" // works, but not as well as it could
	Fault   Level = "fault"   // keeps something from working
)

// Finding is one conclusion.
type Finding struct {
	ID       string   `json:"id"` // stable, for programs
	Level    Level    `json:"level"`
	Cause    string   `json:"cause"` // one sentence
	Do       string   `json:"do,omitempty"`
	Evidence []string `json:"evidence,omitempty"`
}

// Diagnose returns what follows from the facts: first the host, then the boot, then the running guest.
func Diagnose(f Facts) []Finding {
	findings := host(f.Host)
	switch {
	case f.Boot == nil:
		findings = append(findings, Finding{ID: "no-guest", Level: Note,
			Cause: "no guest has been booted", Do: "nx boot --detach, then ask again"})
	default:
		findings = append(findings, boot(f.Boot)...)
	}
	if f.Live != nil {
		findings = append(findings, live(f.Boot, f.Live)...)
	}
	return findings
}

// Faulty reports whether any finding is a fault.
func Faulty(findings []Finding) bool {
	for _, f := range findings {
		if f.Level == Fault {
			return true
		}
	}
	return false
}
