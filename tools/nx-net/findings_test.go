package nxnet

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// findings are the ids that the source of package doctor gives to findings, each with its levels in the order of badness. What it
// finds is checked: an id or a level that it cannot read is an error.
func findings(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("doctor/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	found := make(map[string][]string)
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				id, level := identified(n)
				found[id] = append(found[id], level)
			case *ast.CallExpr: // check("qemu", Fault, …): that, or OK
				if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "check" {
					id := text(n.Args[0])
					found[id] = append(found[id], "OK", n.Args[1].(*ast.Ident).Name)
				}
			}
			return true
		})
	}
	delete(found, "") // literals that are no finding's
	order := []string{"OK", "Note", "Warning", "Fault"}
	for id, levels := range found {
		slices.SortFunc(levels, func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) })
		found[id] = slices.Compact(levels)
	}
	return found
}

// identified reads the id and the level of a literal Finding, or of a literal that findings are made of: symptoms are faults, counters
// have a level.
func identified(n *ast.CompositeLit) (id, level string) {
	fields := make(map[string]ast.Expr)
	for _, e := range n.Elts {
		if field, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := field.Key.(*ast.Ident); ok {
				fields[key.Name] = field.Value
			}
		}
	}
	if l, ok := fields["Level"].(*ast.Ident); ok {
		return text(fields["ID"]), l.Name
	}
	if len(n.Elts) == 4 && text(n.Elts[0]) != "" { // of symptoms: id, says, cause, do
		return text(n.Elts[0]), "Fault"
	}
	if len(n.Elts) == 5 { // of telling: name, id, level, cause, do
		if l, ok := n.Elts[2].(*ast.Ident); ok {
			return text(n.Elts[1]), l.Name
		}
	}
	return "", ""
}

// text is the value of a literal string, else "".
func text(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return s
}

var findingRow = regexp.MustCompile("^\\| `([a-z-]+)` \\| ([a-z, ]+) \\| [^|]+ \\| [^|]*\\|$")

// The table of findings has each that doctor can make, with its levels, and no other.
func TestDocumentedFindings(t *testing.T) {
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(data), "<!-- findings:begin -->\n")
	table, _, ended := strings.Cut(rest, "\n<!-- findings:end -->")
	if !found || !ended {
		t.Fatalf("%s has no table of findings", document)
	}
	want := findings(t)
	for _, line := range strings.Split(table, "\n")[2:] {
		m := findingRow.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("%s: %q is no row", document, line)
			continue
		}
		if levels := strings.ToLower(strings.Join(want[m[1]], ", ")); levels != m[2] {
			t.Errorf("%s: %s is %s; doctor makes it %q", document, m[1], m[2], levels)
		}
		delete(want, m[1])
	}
	if len(want) > 0 {
		t.Errorf("%s lacks %s", document, fmt.Sprint(want))
	}
}
