package report

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"nexus/tools/nx/internal/boot"
)

// maxServices bounds how many services a console can make a page tell of.
const maxServices = 32

// Names of those that run before any service.
const (
	firmware = "firmware"
	kernel   = "neuron"
	initName = "nexus-init"
)

// service is a part of the boot: the firmware, the kernel, process 1, or one
// of the programs it starts.
type service struct {
	Name       string
	Start      time.Duration
	Ready      time.Duration // it serves, or is done; what comes next may begin
	Done       bool          // it ended then
	Unfinished bool          // it was never ready; Ready is the console's end
	RSS        int           // KiB of its own; 0 is unknown
	Shared     int           // KiB of its program file's pages, which others may use too
	measured   bool
}

func (s *service) took() time.Duration { return s.Ready - s.Start }

// The lines that nexus-init prints of services.
var (
	startLine  = regexp.MustCompile(`^nexus-init: start ([A-Za-z0-9._-]{1,40})$`)
	readyLine  = regexp.MustCompile(`^nexus-init: ([A-Za-z0-9._-]{1,40}) (ready|done)$`)
	memoryLine = regexp.MustCompile(`^nexus-init: memory ([A-Za-z0-9._-]{1,40}) rss=([0-9]{1,9}) KiB shared=([0-9]{1,9}) KiB$`)
	kernelLine = regexp.MustCompile(`^neuron: hart [0-9]+, memory ([0-9]{1,9}) MiB`)
)

// services reads the parts of a boot from its console, in their order of
// start. left are those that are beyond maxServices.
func services(console []boot.Line, end time.Duration) (parts []*service, left int) {
	var all []*service
	known := map[string]*service{}
	begin := func(name string, at time.Duration) {
		if known[name] != nil {
			return // of a service that is started again, the first time counts
		}
		if len(all) == maxServices {
			left++
			return
		}
		s := &service{Name: name, Start: at, Ready: end, Unfinished: true}
		known[name] = s
		all = append(all, s)
	}
	finish := func(name string, at time.Duration) {
		if s := known[name]; s != nil && s.Unfinished {
			s.Ready, s.Unfinished = at, false
		}
	}
	begin(firmware, 0)
	for _, l := range console {
		text := l.Text
		if strings.HasPrefix(text, "neuron: ") && known[kernel] == nil {
			finish(firmware, l.At)
			begin(kernel, l.At)
		}
		if strings.HasPrefix(text, "nexus-init: ") && known[initName] == nil {
			finish(kernel, l.At)
			begin(initName, l.At)
		}
		if text == "nexus-init: done" {
			finish(initName, l.At)
		}
		if m := startLine.FindStringSubmatch(text); m != nil {
			begin(m[1], l.At)
		}
		if m := readyLine.FindStringSubmatch(text); m != nil {
			finish(m[1], l.At)
			if s := known[m[1]]; s != nil {
				s.Done = s.Done || m[2] == "done"
			}
		}
		if m := memoryLine.FindStringSubmatch(text); m != nil {
			if s := known[m[1]]; s != nil && !s.measured {
				// Nine digits are a number.
				s.RSS, _ = strconv.Atoi(m[2])
				s.Shared, _ = strconv.Atoi(m[3])
				s.measured = true
			}
		}
	}
	return all, left
}

// memoryMiB is what the kernel found; 0 if it did not say.
func memoryMiB(console []boot.Line) int {
	for _, l := range console {
		if m := kernelLine.FindStringSubmatch(l.Text); m != nil {
			n, _ := strconv.Atoi(m[1]) // nine digits are a number
			return n
		}
	}
	return 0
}

// cost is a row of the start-up and memory table.
type cost struct {
	Name, Start, Took, State string
	RSS, Shared              string
	TookShare                string // of the longest, in percent; "" of nexus-init
	RSSShare                 string // of the largest sum of both
	SharedShare              string
}

// costs makes the table's rows.
func costs(parts []*service) []cost {
	var longest time.Duration
	largest := 0
	for _, s := range parts {
		if s.Name != initName { // which goes on while the others start
			longest = max(longest, s.took())
		}
		largest = max(largest, s.RSS+s.Shared)
	}
	var rows []cost
	for _, s := range parts {
		c := cost{Name: s.Name, Start: seconds(s.Start), Took: span(s.took()), State: "ready"}
		switch {
		case s.Unfinished:
			c.State = "never ready"
		case s.Done:
			c.State = "done"
		case s.Name == firmware || s.Name == kernel:
			c.State = "handed over"
		case s.Name == initName:
			c.State = "done, with all others"
		}
		if s.Name != initName {
			c.TookShare = percent(int64(s.took()), int64(longest))
		}
		if s.measured {
			c.RSS, c.Shared = kibibytes(s.RSS), kibibytes(s.Shared)
			c.RSSShare = percent(int64(s.RSS), int64(largest))
			c.SharedShare = percent(int64(s.Shared), int64(largest))
		}
		rows = append(rows, c)
	}
	return rows
}

// percent is part of whole, with a decimal, within 0 and 100.
func percent(part, whole int64) string {
	if whole <= 0 {
		return "0"
	}
	return strconv.FormatFloat(min(100, max(0, 100*float64(part)/float64(whole))), 'f', 1, 64)
}
