package block

import (
	"regexp"
	"slices"
)

// varying is what differs from run to run or from machine to machine, and what stands for it in a comparison.
var varying = []struct {
	what    *regexp.Regexp
	instead string
}{
	// The column of seconds before a line of the console.
	{regexp.MustCompile(`^ *[0-9]+\.[0-9]{3} `), "TIME "},
	// Durations, round trips (least/mean/most) among them, and sizes of memory.
	{regexp.MustCompile(`[0-9][0-9./]* ?(s|ms|µs|us)\b`), "SPAN"},
	{regexp.MustCompile(`[0-9][0-9.]* (KiB|MiB)\b`), "N $1"},
	{regexp.MustCompile(`\bpid [0-9]+`), "pid N"},
	// What mkkernel counts in the kernel that it built.
	{regexp.MustCompile(`^(build/neuron\.img: ).*`), "${1}COUNTS"},
	// The devices that this QEMU puts into its machine.
	{regexp.MustCompile(`\bdevices [0-9]+`), "devices N"},
	// QEMU's version, and the back end that this machine permits.
	{regexp.MustCompile(`^nexus: (\S+): QEMU [^,]+, network card on .*`), "nexus: $1: QEMU VERSION, network card on NIC"},
	{regexp.MustCompile(`^ok +QEMU .*`), "ok QEMU VERSION"},
	// Processes of a list of guests, and columns, which are as wide as what is in them.
	{regexp.MustCompile(`\b(booting|standing|ended|died) +[0-9]+ `), "$1 PID "},
	{regexp.MustCompile(`  +`), "  "},
	{regexp.MustCompile(`\brx frame len=[0-9]+`), "rx frame len=N"},
}

// floating are lines that tell of the wire: they come when the host's frames do, anywhere among their neighbours.
var floating = regexp.MustCompile(`virtionetd: rx frame |netstackd: recv arp `)

// left are lines that are left out: of doctor's those that tell what this machine permits, of a boot's those that come only where it is slow.
var left = regexp.MustCompile(`^(nexus: waiting for .*|ok +a TAP can be made|ok +private network namespaces .*|warning +(tap|namespaces): .*| +do: +run as root, or .*)$`)

// Normal gives lines in the form in which two printings are compared: with letters for what varies, and the lines that float
// behind the others, sorted.
func Normal(lines []string) []string {
	var fixed, floated []string
	for _, line := range lines {
		if left.MatchString(line) {
			continue
		}
		for _, v := range varying {
			line = v.what.ReplaceAllString(line, v.instead)
		}
		if floating.MatchString(line) {
			floated = append(floated, line)
		} else {
			fixed = append(fixed, line)
		}
	}
	slices.Sort(floated)
	return append(fixed, floated...)
}
