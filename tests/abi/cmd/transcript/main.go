// Transcript prints what system calls answer: one line a behaviour, the same on Linux and on neuron.
//
//	transcript [-fixture DIR] [-sections files,pipe,...]
//
// Each line is "ABI: SECTION: WHAT: ANSWER". An answer is "ok", a small number or the name of an errno; nothing in it
// depends on process ids, addresses, ports or time. Run as process 1 it takes the sections from "abi.sections=..." on the
// kernel command line; without any it prints all that need no network. The exit status is 0 unless a section did not end
// in time.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// section is a group of behaviours. Sections do not depend on each other.
type section struct {
	name string
	run  func(*report)
}

var sections = []section{
	{"files", files},
	{"directories", directories},
	{"descriptors", descriptors},
	{"pipe", pipes},
	{"eventfd", eventfds},
	{"epoll", epolls},
	{"poll", polls},
	{"vectors", vectors},
	{"memory", memory},
	{"memfd", memfds},
	{"stream", unixStreams},
	{"messages", unixMessages},
	{"rights", unixRights},
	{"signals", signals},
	{"interruptions", interruptions},
	{"futex", futexes},
	{"process", processes},
	{"time", times},
	{"misc", misc},
	{"edges", edges},
	{"tcp", tcp},
	{"udp", udp},
}

// withoutNetwork is what runs by default.
const withoutNetwork = "files,directories,descriptors,pipe,eventfd,epoll,poll,vectors,memory,memfd,stream,messages,rights,signals,interruptions,futex,process,time,misc,edges"

// sectionTimeout bounds a section; the slowest takes a second on an emulated machine.
const sectionTimeout = 60 * time.Second

// fixture is the directory the test made for us: see Fixture in the package that runs this.
var fixture string

func main() {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "child-") {
		child(os.Args[1], os.Args[2:])
		return
	}
	flag.StringVar(&fixture, "fixture", "/tests/abi", "directory with the test's files")
	chosen := flag.String("sections", commandLine("abi.sections", withoutNetwork), "comma-separated sections to print")
	flag.Parse()
	for _, name := range strings.Split(*chosen, ",") {
		run(name)
	}
	fmt.Println("ABI: done")
}

// commandLine returns a word's value from the kernel command line, which neuron gives process 1 in a variable.
func commandLine(word, otherwise string) string {
	for _, w := range strings.Fields(os.Getenv("NEXUS_CMDLINE")) {
		if name, value, ok := strings.Cut(w, "="); ok && name == word {
			return value
		}
	}
	return otherwise
}

// run prints one section, and ends the program if it takes too long.
func run(name string) {
	for _, s := range sections {
		if s.name != name {
			continue
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.run(&report{section: name})
		}()
		select {
		case <-done:
		case <-time.After(sectionTimeout):
			fmt.Printf("ABI: %s: did not end in %v\n", name, sectionTimeout)
			os.Exit(1)
		}
		return
	}
	fmt.Printf("ABI: no section %q\n", name)
	os.Exit(1)
}
