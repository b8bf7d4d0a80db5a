package supervise

import "errors"

// Why a boot failed, for errors.Is.
var (
	ErrStart = errors.New("service cannot be started")
	ErrLate  = errors.New("service is late")
	ErrDied  = errors.New("service died")
)

// Failure is what one service did to the boot.
type Failure struct {
	Service string
	Cause   error  // one of the above, or what wraps it
	Text    string // what happened and what to do, for the console
}

// Error begins with the name of the service.
func (f *Failure) Error() string { return f.Service + ": " + f.Text }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Cause }
