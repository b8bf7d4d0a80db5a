package session

import (
	"slices"
	"testing"

	"nexus/tests/session/block"
)

// A session's commands run at the repository's top, one after the other, with nx in PATH and errors among the output.
func TestReplay(t *testing.T) {
	commands := []block.Command{
		{Text: `printf 'one\n'; printf "two'\n" >&2; echo three`, Lines: []string{"one", "two'", "three"}},
		{Text: "true"},
		{Text: "sed -n 1p go.mod | cat", Lines: []string{"module nexus"}},
		{Text: "command -v nx | grep -o build/nx", Lines: []string{"build/nx"}},
		{Text: "echo took $RANDOM ms", Lines: []string{"took 7 ms"}},
	}
	printed := replay(t, "this test", "trivial", commands)
	for i, c := range printed {
		if c.Text != commands[i].Text || !slices.Equal(block.Normal(c.Lines), block.Normal(commands[i].Lines)) {
			t.Errorf("%q printed %q, want %q", c.Text, c.Lines, commands[i].Lines)
		}
	}
}

func TestDifferences(t *testing.T) {
	if got, want := differences([]string{"a", "b", "d"}, []string{"a", "c", "d"}), "- c\n+ b\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := differences([]string{"a", "b"}, []string{"b", "a"}); got == "" {
		t.Error("another order is no difference")
	}
}
