package guide

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

const example = "# A guide\n\nText, `code`.\n\n" +
	"```go file=a/b.go\npackage b\n\n// ``` within a line ends nothing\n```\n" +
	"Change it:\n```diff\n--- a/x\n+++ b/x\n```\n" +
	"```console\n$ make build\n$ ls a \\\n    b\nb.go\n…\n$ true\n```\n"

func TestParse(t *testing.T) {
	got, err := Parse(example)
	want := []Step{
		{Kind: File, Line: 5, Path: "a/b.go", Text: "package b\n\n// ``` within a line ends nothing\n"},
		{Kind: Patch, Line: 11, Text: "--- a/x\n+++ b/x\n"},
		{Kind: Run, Line: 16, Text: "make build"},
		{Kind: Run, Line: 17, Text: "ls a \\\n    b", Want: []string{"b.go", "…"}},
		{Kind: Run, Line: 21, Text: "true"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ text, says string }{
		"nothing":             {"# A guide\n", "nothing to do"},
		"no end":              {"a\n```diff\n--- a\n", "line 2: the block does not end"},
		"empty block":         {"```diff\n```\n", "line 1: the block is empty"},
		"unknown kind":        {"```go\npackage a\n```\n", `line 1: "go" is no kind of block`},
		"no kind":             {"```\nx\n```\n", `line 1: "" is no kind`},
		"no path":             {"```go file=\nx\n```\n", "line 1:"},
		"no language":         {"``` file=a\nx\n```\n", "line 1:"},
		"path out of here":    {"```go file=../a.go\nx\n```\n", "below the repository's top"},
		"absolute path":       {"```go file=/etc/a\nx\n```\n", "below the repository's top"},
		"path not clean":      {"```go file=a//b\nx\n```\n", "below the repository's top"},
		"output of nothing":   {"```console\nhello\n$ true\n```\n", `line 2: output of no command: "hello"`},
		"command without end": {"```console\n$ a \\\n```\n", "line 2: the command does not end"},
	} {
		steps, err := Parse(tt.text)
		if !errors.Is(err, ErrGuide) || !strings.Contains(err.Error(), tt.says) || steps != nil {
			t.Errorf("%s: %v, %v; want %q", name, steps, err, tt.says)
		}
	}
}

func TestMatch(t *testing.T) {
	lines := func(text string) []string {
		if text == "" {
			return nil
		}
		return strings.Split(text, "/")
	}
	for _, tt := range []struct {
		got, want         string
		gotLine, wantLine string
		ok                bool
	}{
		{"", "", "", "", true},
		{"a/b", "a/b", "", "", true},
		{"a/b", "a", "b", "", false},
		{"a", "a/b", "", "b", false},
		{"a/x", "a/b", "x", "b", false},
		{"", "…", "", "", true},
		{"a/b/c", "…/c", "", "", true},
		{"a/b/c", "a/…/c/…", "", "", true},
		{"a/b/c/b/d", "…/b/d", "", "", true}, // not the first b
		{"a/b/c", "…/b", "c", "", false},
		{"a/b/c", "…/x", "", "x", false},
		{"ok 0.3s", "ok …s", "", "", true},
		{"ok 0.3s", "ok …", "", "", true},
		{"ok 0.3s", "… 0.3…", "", "", true},
		{"ok", "ok…", "", "", true},
		{"1 of 2 of 3", "… of … of …", "", "", true},
		{"1 of 2", "… of … of …", "1 of 2", "… of … of …", false},
		{"abab", "…ab", "", "", true},
		{"ab", "ab…ab", "ab", "ab…ab", false},
		{"a/nexus: waiting for x of y: 5 s/b", "a/b", "", "", true},
		{"a/nexus: waits", "a", "nexus: waits", "", false},
	} {
		gotLine, wantLine, ok := Match(lines(tt.got), lines(tt.want))
		if gotLine != tt.gotLine || wantLine != tt.wantLine || ok != tt.ok {
			t.Errorf("Match(%q, %q) = %q, %q, %v; want %q, %q, %v", tt.got, tt.want, gotLine, wantLine, ok, tt.gotLine, tt.wantLine, tt.ok)
		}
	}
}

// FuzzParse: whatever the text, a step is within it, and a file within the repository.
func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add("```console\n$ \\\n\\\n```")
	f.Fuzz(func(t *testing.T, text string) {
		steps, err := Parse(text)
		if (err == nil) != (len(steps) > 0) {
			t.Fatalf("%d steps, %v", len(steps), err)
		}
		for _, s := range steps {
			if s.Line < 1 || s.Line > strings.Count(text, "\n")+1 {
				t.Errorf("line %d", s.Line)
			}
			if s.Kind == File && (s.Path == "" || strings.HasPrefix(s.Path, "/") || strings.HasPrefix(s.Path, "..")) {
				t.Errorf("path %q", s.Path)
			}
			if s.Kind == Run {
				if _, _, ok := Match(s.Want, s.Want); !ok {
					t.Errorf("%q is not what it says", s.Want)
				}
			}
		}
	})
}
