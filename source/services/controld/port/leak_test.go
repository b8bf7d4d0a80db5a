package port

import (
	"testing"

	"go.uber.org/goleak"
)

// verify runs the tests, and fails when one leaves a goroutine behind.
func verify(m *testing.M) { goleak.VerifyTestMain(m) }
