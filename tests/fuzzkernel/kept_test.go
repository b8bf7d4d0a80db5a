package fuzzkernel

import (
	"maps"
	"testing"

	"nexus/tests/fuzzkernel/program"
)

// Parts of programs: two pipes, an action of signal 10 and of 12 that restarts nothing, and a thread that one of them reaches while it waits.
const (
	twoStreams = "stream(0)\nstream(1)\n"
	noRestart  = "data 0x2000000000 00000000000000000400000000000000\nlist 0\nstore8(0x2000000000, s1)\n" +
		"rt_sigaction(10, 0x2000000000, 0, 8)\nrt_sigaction(12, 0x2000000000, 0, 8)\n" + twoStreams
	signalTen    = "start(1)\nsleep(2000000)\ntgkill(s0, s9, 10)\nsleep(1000000)\nfinish(1)\n"
	signalTwelve = "start(1)\nsleep(2000000)\ntgkill(s0, s9, 12)\nsleep(1000000)\nfinish(1)\n"
)

// TestKept: what kept operations hold against the kernel is found when something else in the program does it, and only then.
func TestKept(t *testing.T) {
	m := newMachine(t, *kernel)
	wrong := func(w program.Wrong) string { return program.Wrongs[w] + ": N, and not N" }
	programs := map[string]struct{ text, want string }{
		"all-is-well":    {twoStreams + "send(0, 100)\nsend(1, 5000, 1)\nreceive(0, 7)\nreceive(1, 5000, 1)\nfinish(1)", ""},
		"longer":         {twoStreams + "start(1)\nfinish(1)\nlist 1\nsend(0, 100000)", ""},
		"bytes-of-none":  {twoStreams + "write(2001, 0x2000000000, 5)\nsend(0, 100)\nreceive(0, 100)\nfinish(1)", "read " + wrong(program.Disordered)},
		"bytes-too-few":  {twoStreams + "send(0, 100)\nread(2000, 0x2000000000, 100)\nfinish(1)", "write " + wrong(program.Lost)},
		"bytes-twice":    {twoStreams + "send(0, 10)\nread(2000, 0x2000000000, 10)\nwrite(2001, 0x2000000000, 10)\nwrite(2001, 0x2000000003, 7)\nfinish(1)", "read " + wrong(program.Surplus)},
		"bytes-moved":    {twoStreams + "send(0, 100)\nread(2000, 0x2000000000, 50)\nwrite(2005, 0x2000000000, 50)\nreceive(1, 50)\nfinish(1)", "read " + wrong(program.Split)},
		"no-end":         {"start(1)\nfinish(1)\nlist 1\nawait(0x2000000000, 0, 128)", "N " + wrong(program.Stuck)},
		"dies":           {"kill(s0, 9)\nfinish(1)", "nothing in the program ends it, and it has ended with status N"},
		"end-by-wake":    {"start(1)\nsleep(2000000)\nfutex(0x2000000000, 129, 1)\nfinish(1)\nlist 1\nawait(0x2000000000, 0, 128)", ""},
		"restarts":       {noRestart + signalTen + "list 1\nreceive(0, 100)", "read " + wrong(program.NotRestarted)},
		"restarts-not":   {noRestart + signalTwelve + "list 1\nreceive(0, 100, 0, 0, 0, -4)", ""},
		"another-result": {noRestart + signalTwelve + "list 1\nreceive(0, 100, 0, 0, 0, 5)", "read " + wrong(program.Unexpected)},
	}
	cases, want := make(map[string]string), make(map[string]string)
	for name, p := range programs {
		cases[name] = p.text
		if p.want != "" {
			want[name] = p.want
		}
	}
	got := make(map[string]string)
	for _, f := range m.boot(t, "fuzz.cases=1", cases).findings {
		got[f.run] += f.kind
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
