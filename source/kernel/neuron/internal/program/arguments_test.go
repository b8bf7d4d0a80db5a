package program

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/user/usertest"
)

// list lays out strings and the list of their addresses behind what m holds, and returns where the list is.
func list(m *usertest.Memory, all []string) uint64 {
	var pointers []byte
	for _, s := range all {
		pointers = binary.LittleEndian.AppendUint64(pointers, usertest.Base+uint64(len(*m)))
		*m = append(append(*m, s...), 0)
	}
	at := usertest.Base + uint64(len(*m))
	*m = append(append(*m, pointers...), make([]byte, 8)...)
	return at
}

// load takes the strings of both lists, and gives the number of pieces.
func load(m usertest.Memory, argv, envp uint64) (a *Arguments, pieces int, err abi.Errno) {
	a = new(Arguments)
	a.Begin(argv, envp)
	for err = abi.Again; err == abi.Again; pieces++ {
		err = a.Load(m)
	}
	return a, pieces, err
}

// TestArguments: the strings are taken as they are, one behind the other, those of the environment last.
func TestArguments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m usertest.Memory
		word := rapid.Custom(func(t *rapid.T) string {
			n := rapid.SampledFrom([]int{0, 1, 7, 100, 255, 256, 257, 5000, loadPiece - 1, loadPiece, loadPiece + 1}).Draw(t, "length")
			return strings.Repeat(rapid.StringMatching("[a-z]").Draw(t, "letter"), n)
		})
		args := rapid.SliceOfN(word, 0, 4).Draw(t, "arguments")
		env := rapid.SliceOfN(word, 0, 3).Draw(t, "environment")
		m = append(m, make([]byte, rapid.IntRange(0, 300).Draw(t, "before"))...)
		argv := list(&m, args)
		envp := list(&m, env)
		a, _, err := load(m, argv, envp)
		if err != abi.OK || a.arguments != len(args) || a.environment != len(env) {
			t.Fatalf("error %d, %d and %d strings, want %d and %d", err, a.arguments, a.environment, len(args), len(env))
		}
		var want []byte
		for i, s := range append(args, env...) {
			if int(a.starts[i]) != len(want) {
				t.Fatalf("string %d at %d, want %d", i, a.starts[i], len(want))
			}
			want = append(append(want, s...), 0)
		}
		if !bytes.Equal(a.bytes[:a.used], want) {
			t.Fatal("the strings are others")
		}
	})
}

// TestArgumentLimits: as many strings, and as many bytes, as there is room for; one more is E2BIG.
func TestArgumentLimits(t *testing.T) {
	repeat := func(n int, s string) []string {
		all := make([]string, n)
		for i := range all {
			all[i] = s
		}
		return all
	}
	for name, tc := range map[string]struct {
		args, env []string
		want      abi.Errno
	}{
		"most strings":              {repeat(MaxStrings-1, "a"), repeat(1, "b"), abi.OK},
		"an argument too many":      {repeat(MaxStrings+1, "a"), nil, abi.E2BIG},
		"a variable too many":       {repeat(MaxStrings, "a"), repeat(1, "b"), abi.E2BIG},
		"most bytes":                {[]string{strings.Repeat("a", MaxArguments-1)}, nil, abi.OK},
		"most bytes of two":         {[]string{strings.Repeat("a", 70_000)}, []string{strings.Repeat("b", MaxArguments-70_002)}, abi.OK},
		"a byte too many":           {[]string{strings.Repeat("a", MaxArguments)}, nil, abi.E2BIG},
		"a byte too many of two":    {[]string{strings.Repeat("a", 70_000)}, []string{strings.Repeat("b", MaxArguments-70_001)}, abi.E2BIG},
		"far too many":              {repeat(3, strings.Repeat("a", 60_000)), nil, abi.E2BIG},
		"an empty string with none": {[]string{strings.Repeat("a", MaxArguments-1), ""}, nil, abi.E2BIG},
	} {
		var m usertest.Memory
		argv := list(&m, tc.args)
		envp := list(&m, tc.env)
		_, pieces, err := load(m, argv, envp)
		if err != tc.want {
			t.Errorf("%s: error %d, want %d", name, err, tc.want)
		}
		if pieces < 2 {
			t.Errorf("%s: in %d piece", name, pieces)
		}
	}
}

// TestArgumentFaults: a list, or a string, that ends outside the program's memory is EFAULT; no list is an empty one.
func TestArgumentFaults(t *testing.T) {
	m := make(usertest.Memory, 16)
	binary.LittleEndian.PutUint64(m, usertest.Base+12)
	binary.LittleEndian.PutUint64(m[8:], ^uint64(0)) // no NUL from 12 on
	for name, argv := range map[string]uint64{
		"a list elsewhere": 1, "its second pointer": usertest.Base + 8, "a string without an end": usertest.Base,
	} {
		if _, _, err := load(m, argv, 0); err != abi.EFAULT {
			t.Errorf("%s: error %d", name, err)
		}
		if _, _, err := load(m, 0, argv); err != abi.EFAULT {
			t.Errorf("%s, of the environment: error %d", name, err)
		}
	}
	if a, _, err := load(m, 0, 0); err != abi.OK || a.arguments+a.environment != 0 {
		t.Errorf("no lists: error %d, %d strings", err, a.arguments+a.environment)
	}
}
