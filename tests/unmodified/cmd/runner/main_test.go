package main

import (
	"testing"
	"time"

	"nexus/tests/unmodified/plan"
)

func TestRun(t *testing.T) {
	for _, tc := range []struct {
		script  string
		timeout time.Duration
		want    string
		output  string
	}{
		{"echo fine", time.Minute, plan.OK, "fine\n"},
		{"echo wrong >&2; exit 3", time.Minute, plan.Fail, "wrong\n"},
		{"kill -9 $$", time.Minute, plan.Fail, ""},
		{"exec sleep 600", 50 * time.Millisecond, plan.Timeout, ""},
	} {
		r := run(plan.Program{Name: "x", Path: "/bin/sh", Arguments: []string{"-c", tc.script}, Timeout: tc.timeout})
		if r.outcome != tc.want || string(r.output) != tc.output {
			t.Errorf("%s: %s, %q; want %s, %q", tc.script, r.outcome, r.output, tc.want, tc.output)
		}
	}
	if r := run(plan.Program{Path: "/none", Timeout: time.Minute}); r.outcome != plan.Fail || r.cause == nil {
		t.Errorf("a program that is not there: %s, %v", r.outcome, r.cause)
	}
}

func TestTail(t *testing.T) {
	var out tail
	for range 10 {
		out.Write(make([]byte, maxOutput/4))
		out.Write([]byte("end"))
	}
	if len(out.bytes) != maxOutput || string(out.bytes[maxOutput-3:]) != "end" {
		t.Errorf("%d bytes, ending in %q", len(out.bytes), out.bytes[len(out.bytes)-3:])
	}
}
