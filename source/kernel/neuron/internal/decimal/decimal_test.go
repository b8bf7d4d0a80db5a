package decimal

import (
	"strconv"
	"testing"
)

func TestFormat(t *testing.T) {
	for _, v := range []uint64{0, 1, 9, 10, 99, 100, 12345678901234567890, 1<<64 - 1} {
		var d Digits
		if got, want := string(Format(&d, v)), strconv.FormatUint(v, 10); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
