package guides

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nexus/tests/guides/guide"
)

// A step that cannot be taken any more, or that shows something else, says what is wrong with it.
func TestStaleSteps(t *testing.T) {
	r := reader{directory: t.TempDir()}
	if err := os.WriteFile(filepath.Join(r.directory, "x"), []byte("one\ntwo\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	const change = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n"
	for _, tt := range []struct {
		step guide.Step
		says string // "" is no error
	}{
		{guide.Step{Kind: guide.File, Path: "a/b", Text: "text\n"}, ""},
		{guide.Step{Kind: guide.File, Path: "a/b", Text: "text\n"}, "a/b is there already"},
		{guide.Step{Kind: guide.Patch, Text: change}, ""},
		{guide.Step{Kind: guide.Patch, Text: change}, "the diff does not apply"},
		{guide.Step{Kind: guide.Patch, Text: "+no diff\n"}, "the diff does not apply"},
		{guide.Step{Kind: guide.Run, Text: "cat x a/b", Want: []string{"one", "three", "text"}}, ""},
		{guide.Step{Kind: guide.Run, Text: "cat x", Want: []string{"one", "two"}}, `printed "three" where the guide says "two"`},
		{guide.Step{Kind: guide.Run, Text: "cat x"}, `printed "one" where the guide says ""`},
		{guide.Step{Kind: guide.Run, Text: "true"}, ""},
		{guide.Step{Kind: guide.Run, Text: "echo why; false | cat"}, "exit status 1\nwhy"},
	} {
		err := r.follow(t.Context(), tt.step)
		if err == nil && tt.says != "" || err != nil && (tt.says == "" || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%+v: %v, want %q", tt.step, err, tt.says)
		}
	}
}
