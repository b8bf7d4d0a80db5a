// Package plan is what the builder of the test archive tells the runner in the guest.
package plan

import "time"

// Path is where the plan lies in the archive, as JSON: a list of Programs.
const Path = "tests/plan.json"

// Mark begins each line of the runner's report: "UNMODIFIED: NAME ok|FAIL|TIMEOUT SECONDS". Lines with Detail follow a
// failure: the program's last output.
const (
	Mark   = "UNMODIFIED: "
	Detail = "UNMODIFIED| "
)

// Outcomes of a program.
const (
	OK      = "ok"
	Fail    = "FAIL"
	Timeout = "TIMEOUT"
)

// Program is one test binary.
type Program struct {
	Name      string        `json:"name"`
	Path      string        `json:"path"` // in the guest
	Directory string        `json:"directory"`
	Arguments []string      `json:"arguments"`
	Timeout   time.Duration `json:"timeout"`
}
