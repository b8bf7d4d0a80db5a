// Runner executes the test binaries of a plan one after the other and reports each on its own line.
//
// It is a one-shot service inside a socket namespace on neuron; on Linux it runs just as well. Its exit status is 0 when
// it got through the plan, whatever the outcomes: those are for the reader of the report.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"nexus/tests/unmodified/plan"
)

// maxOutput bounds how much of a program's output is kept, and maxDetail how many of its last lines are shown.
const (
	maxOutput = 64 << 10
	maxDetail = 40
)

func main() {
	path := flag.String("plan", "/"+plan.Path, "the plan")
	flag.Parse()
	raw, err := os.ReadFile(*path)
	if err != nil {
		fmt.Fprintln(os.Stderr, "runner:", err)
		os.Exit(1)
	}
	var programs []plan.Program
	if err := json.Unmarshal(raw, &programs); err != nil {
		fmt.Fprintf(os.Stderr, "runner: %s: %v\n", *path, err)
		os.Exit(1)
	}
	for _, p := range programs {
		report(p, run(p))
	}
}

// result is how a program ended.
type result struct {
	outcome string
	cause   error
	took    time.Duration
	output  []byte
}

// run executes a program within its time.
func run(p plan.Program) result {
	ctx, cancel := context.WithTimeout(context.Background(), p.Timeout)
	defer cancel()
	var out tail
	command := exec.CommandContext(ctx, p.Path, p.Arguments...)
	command.Dir = p.Directory
	command.Stdout, command.Stderr = &out, &out
	command.WaitDelay = 5 * time.Second
	start := time.Now()
	err := command.Run()
	r := result{outcome: plan.OK, cause: err, took: time.Since(start), output: out.bytes}
	switch {
	case ctx.Err() != nil:
		r.outcome = plan.Timeout
	case err != nil:
		r.outcome = plan.Fail
	}
	return r
}

// report prints a result, and what the program last said if it is not ok. Each line is one write.
func report(p plan.Program, r result) {
	say(fmt.Sprintf("%s%s %s %.1f", plan.Mark, p.Name, r.outcome, r.took.Seconds()))
	if r.outcome == plan.OK {
		return
	}
	say(fmt.Sprintf("%s%s: %v", plan.Detail, p.Name, r.cause))
	lines := strings.Split(string(bytes.TrimSpace(r.output)), "\n")
	for _, line := range lines[max(0, len(lines)-maxDetail):] {
		say(plan.Detail + line)
	}
}

func say(line string) { os.Stdout.WriteString(line + "\n") }

// tail keeps the last bytes written to it.
type tail struct{ bytes []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.bytes = append(t.bytes, b...)
	if extra := len(t.bytes) - maxOutput; extra > 0 {
		t.bytes = append(t.bytes[:0], t.bytes[extra:]...)
	}
	return len(b), nil
}
