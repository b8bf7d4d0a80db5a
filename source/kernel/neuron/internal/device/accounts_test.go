package device

import (
	"regexp"
	"strings"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/user/usertest"
)

// TestAccounts: what is opened shows, what is closed does not any more, and a read goes on in the text that it began.
func TestAccounts(t *testing.T) {
	setup(t)
	accounts := open(t, "accounts")
	read := func(pos, size int) string {
		m := make([]byte, size)
		n, err := accounts.Read(usertest.Out(m), int64(pos))
		if err != abi.OK {
			t.Fatal(err)
		}
		return string(m[:n])
	}
	before := read(0, 4096)
	if !regexp.MustCompile(`^([a-z-]+ \d+\n)+$`).MatchString(before) {
		t.Errorf("not a name and a number a line:\n%s", before)
	}
	f := file.New(open(t, "dma"), abi.O_RDWR)
	during := read(0, 100)
	during += read(100, 4096)
	for _, want := range []string{"\nfiles 1\n", "\ndma-memories 1\n"} {
		if !strings.Contains(during, want) || strings.Contains(before, want) {
			t.Errorf("%q: want it with DMA memory open only; before:\n%sduring:\n%s", want, before, during)
		}
	}
	f.Release()
	file.Reap()
	if after := read(0, 4096); after != before {
		t.Errorf("after the close:\n%swant\n%s", after, before)
	}
}
