package abi

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"nexus/tests/abi/guest"
	"nexus/tools/mkarchive/newc"
)

// TestConsoleInput types lines at the console, more than the UART's FIFO and a line of its buffer hold at a time, each when
// the one before it was said back.
func TestConsoleInput(t *testing.T) {
	guest.Need(t)
	input, typed := io.Pipe()
	var want []string
	lines := []string{"a", strings.Repeat("0123456789", 20), "", "end"}
	for i, l := range lines {
		want = append(want, fmt.Sprintf("%d %s", i+1, l))
	}
	next := 0
	m := guest.Machine{
		Files:   []newc.File{guest.Program(t, "./tests/abi/cmd/typist", "init")},
		Timeout: time.Minute,
		Input:   input,
		Line: func(line string) {
			if strings.HasPrefix(line, "typist: ") && next < len(lines) {
				fmt.Fprintln(typed, lines[next])
				if next++; next == len(lines) {
					typed.Close()
				}
			}
		},
	}
	r := m.Boot(t, guest.Kernel(t))
	if got := r.After("typist: ")[1:]; !slices.Equal(got, want) || r.Status != 0 {
		t.Errorf("status %d, said back\n%s\nwant\n%s", r.Status, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
