// Package docs checks the documents of the repository against it: links and paths lead somewhere, the markers are those of
// the contract, the examples are understood by the code they show.
package docs

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nexus/source/init/nexus-init/bootline"
	"nexus/source/init/nexus-init/manifest"
)

const root = ".."

// document is one Markdown file.
type document struct {
	path string // from the root
	text string
}

// skipped are folders that are not the repository's own text.
func skipped(path, name string) bool {
	return strings.HasPrefix(name, ".") && name != ".." || path == filepath.Join(root, "build") || name == "testdata"
}

// files returns the paths, from the root, of all files with that ending.
func files(t *testing.T, ending string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skipped(path, entry.Name()):
			return filepath.SkipDir
		case !entry.IsDir() && filepath.Ext(path) == ending:
			from, err := filepath.Rel(root, path)
			all = append(all, from)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func documents(t *testing.T) []document {
	t.Helper()
	var all []document
	for _, path := range files(t, ".md") {
		all = append(all, document{path, read(t, path)})
	}
	if len(all) < 8 {
		t.Fatalf("%d documents found: there are more", len(all))
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func exists(path string) bool {
	_, err := os.Stat(filepath.Join(root, path))
	return err == nil
}

var fence = regexp.MustCompile("(?ms)^```[^`\n]*\n(.*?)^```$")

// prose is a text without its code blocks.
func prose(text string) string { return fence.ReplaceAllString(text, "") }

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// brokenLinks returns the relative links of a document that lead nowhere.
func brokenLinks(d document) []string {
	var broken []string
	for _, m := range link.FindAllStringSubmatch(prose(d.text), -1) {
		target, anchor, _ := strings.Cut(m[1], "#")
		if strings.Contains(target, "://") {
			continue
		}
		path := d.path
		if target != "" {
			path = filepath.Join(filepath.Dir(d.path), target)
		}
		if !exists(path) || anchor != "" && !hasAnchor(path, anchor) {
			broken = append(broken, m[1])
		}
	}
	return broken
}

var (
	heading    = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInSlugs = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// hasAnchor reports whether a heading of the document has that anchor, as GitHub makes them.
func hasAnchor(path, anchor string) bool {
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return false
	}
	for _, m := range heading.FindAllStringSubmatch(prose(string(data)), -1) {
		slug := notInSlugs.ReplaceAllString(strings.ToLower(m[1]), "")
		if strings.ReplaceAll(slug, " ", "-") == anchor {
			return true
		}
	}
	return false
}

var (
	span     = regexp.MustCompile("`([^`\n]+)`")
	repoPath = regexp.MustCompile(`^(source|tools|docs|scripts|pkg|tests|\.ci)/[A-Za-z0-9_./*@-]*$`)
)

// lostPaths returns what stands in backticks, looks like a path of the repository and is none.
func lostPaths(text string) []string {
	var lost []string
	for _, m := range span.FindAllStringSubmatch(prose(text), -1) {
		if !repoPath.MatchString(m[1]) {
			continue
		}
		found, err := filepath.Glob(filepath.Join(root, m[1]))
		if err != nil || len(found) == 0 {
			lost = append(lost, m[1])
		}
	}
	return lost
}

// unfinished are words of a document that is not.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|TB` + `D|FIX` + `ME|X` + `XX)\b`)

func TestDocuments(t *testing.T) {
	for _, d := range documents(t) {
		for _, to := range brokenLinks(d) {
			t.Errorf("%s: link %s leads nowhere", d.path, to)
		}
		for _, path := range lostPaths(d.text) {
			t.Errorf("%s: there is no %s", d.path, path)
		}
		if word := unfinished.FindString(d.text); word != "" {
			t.Errorf("%s: says %s", d.path, word)
		}
	}
}

// The checks find what they are there for.
func TestChecks(t *testing.T) {
	bad := document{"docs/style.md", "[a](none.md) [b](architecture/README.md#no-such-part) [c](#style) [d](../README.md)\n" +
		"```\n[e](in-code.md)\n```\n[f](https://example.org/x)"}
	if got, want := brokenLinks(bad), []string{"none.md", "architecture/README.md#no-such-part"}; !slices.Equal(got, want) {
		t.Errorf("broken links %q, want %q", got, want)
	}
	paths := "`source/libs/none` `source/libs/svc` `pkg/manifests/*.json` `tests/none/*` `pkg://fixtures/x` `tools`"
	if got, want := lostPaths(paths), []string{"source/libs/none", "tests/none/*"}; !slices.Equal(got, want) {
		t.Errorf("lost paths %q, want %q", got, want)
	}
	if !unfinished.MatchString("a TO"+"DO is left") || unfinished.MatchString("what to do") {
		t.Error("unfinished")
	}
}

var mentioned = regexp.MustCompile(`\bdocs/[A-Za-z0-9_/.-]+\.md\b`)

// Comments that send the reader to a document name one that is there.
func TestCommentsNameDocuments(t *testing.T) {
	found := 0
	for _, ending := range []string{".go", ".s", ".capnp", ".sh", ".json", ".dts"} {
		for _, path := range files(t, ending) {
			for _, name := range mentioned.FindAllString(read(t, path), -1) {
				found++
				if !exists(name) {
					t.Errorf("%s: there is no %s", path, name)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no comment names a document")
	}
}

// marker is what of tests/contract/markers.json the table of markers must agree with.
type marker struct {
	ID, Owner, Line string
}

const bootDocument = "docs/architecture/06-boot-and-bringup.md"

// between returns what of text stands between two lines, which must be there once.
func between(t *testing.T, text, begin, end string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, begin)
	part, _, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("no %s ... %s", begin, end)
	}
	return part
}

// row is a line of the console that the table shows, with the owner it names.
type row struct{ line, owner string }

// markerRows returns the lines in the table of markers: the first column's, and those that a note names instead.
func markerRows(t *testing.T, text string) []row {
	t.Helper()
	var rows []row
	for _, line := range strings.Split(strings.TrimSpace(between(t, text, "<!-- markers:begin -->", "<!-- markers:end -->")), "\n")[2:] {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 3 {
			t.Fatalf("the table has a line of %d cells: %s", len(cells), line)
		}
		owner := strings.TrimSpace(cells[1])
		for _, m := range span.FindAllStringSubmatch(cells[0]+cells[2], -1) {
			if strings.Contains(m[1], ": ") {
				rows = append(rows, row{m[1], owner})
			}
		}
	}
	return rows
}

func TestMarkersAreTheContracts(t *testing.T) {
	var contract struct{ Markers []marker }
	if err := json.Unmarshal([]byte(read(t, "tests/contract/markers.json")), &contract); err != nil {
		t.Fatal(err)
	}
	patterns := make([]*regexp.Regexp, len(contract.Markers))
	for i, m := range contract.Markers {
		var err error
		if patterns[i], err = regexp.Compile("^(?:" + m.Line + ")$"); err != nil {
			t.Fatalf("marker %s: %v", m.ID, err)
		}
	}
	seen := make([]bool, len(patterns))
	for _, r := range markerRows(t, read(t, bootDocument)) {
		known := false
		for i, pattern := range patterns {
			if !pattern.MatchString(r.line) {
				continue
			}
			known, seen[i] = true, true
			if owner := contract.Markers[i].Owner; owner != r.owner {
				t.Errorf("%q: owner %s, the contract says %s", r.line, r.owner, owner)
			}
		}
		if !known {
			t.Errorf("%q is no marker of the contract", r.line)
		}
	}
	for i, m := range contract.Markers {
		if !seen[i] {
			t.Errorf("marker %s (%s) is not in the table of %s", m.ID, m.Line, bootDocument)
		}
	}
}

// The table of the kernel command line has every word that nexus-init knows, which it lists when it meets one it does not.
func TestCommandLineWords(t *testing.T) {
	text := read(t, bootDocument)
	_, err := bootline.Parse("nexus.unknown=1")
	if err == nil {
		t.Fatal("nexus.unknown is understood")
	}
	_, known, _ := strings.Cut(err.Error(), "known are ")
	words := regexp.MustCompile(`nexus\.[a-z]+`).FindAllString(known, -1)
	if len(words) == 0 {
		t.Fatalf("no words in %v", err)
	}
	for _, word := range words {
		if !strings.Contains(text, "| `"+word+"=") && !strings.Contains(text, ", `"+word+"=") {
			t.Errorf("%s: %s is not in the table of the command line", bootDocument, word)
		}
	}
}

// The manifest that 09 shows is one.
func TestManifestExample(t *testing.T) {
	text := read(t, "docs/architecture/09-nexus-init.md")
	example := between(t, text, "```json\n", "```\n")
	got, err := manifest.Parse([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Services) < 2 {
		t.Errorf("the example has %d services", len(got.Services))
	}
}

// The table of bounds in CAVEATS.md has the constants' values and all of the kernel's bounds.
func TestBounds(t *testing.T) {
	text := between(t, read(t, "CAVEATS.md"), "<!-- bounds:begin -->", "<!-- bounds:end -->")
	shown := make(map[string]string)
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z]+\\.Max[A-Za-z]+)` = (\\S.*?) \\|").FindAllStringSubmatch(text, -1) {
		shown[m[1]] = m[2]
	}
	declared := regexp.MustCompile(`(?m)^\s*(?:const )?(Max[A-Z][A-Za-z]*)\s*=\s*(.+?)\s*(?://.*)?$`)
	for _, path := range files(t, ".go") {
		if !strings.HasPrefix(path, "source/kernel/neuron/internal/") || strings.HasSuffix(path, "_test.go") {
			continue
		}
		for _, m := range declared.FindAllStringSubmatch(read(t, path), -1) {
			name := filepath.Base(filepath.Dir(path)) + "." + m[1]
			if value, ok := shown[name]; !ok || value != m[2] {
				t.Errorf("CAVEATS.md: %s = %s is shown as %q", name, m[2], value)
			}
			delete(shown, name)
		}
	}
	for name := range shown {
		t.Errorf("CAVEATS.md: the kernel has no %s", name)
	}
}
