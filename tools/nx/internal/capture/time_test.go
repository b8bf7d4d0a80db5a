package capture

import (
	"testing"
	"time"
)

func TestKernelTimeWithoutOne(t *testing.T) {
	before := time.Now()
	for _, oob := range [][]byte{nil, {1, 2, 3}} {
		if at := KernelTime(oob); at.Before(before) {
			t.Errorf("%v: %v", oob, at)
		}
	}
}
