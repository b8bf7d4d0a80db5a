// Package deps holds the import rules of docs/style.md as data, and checks the whole module against them, for the host, the
// guest and the kernel.
package deps

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "nexus"
)

// rule says what packages below a folder may import of the module beside their own part. A part is the folder's name and
// parts more names: with folder source/services and parts 1, source/services/echod and what is below it is one.
type rule struct {
	folder string
	parts  int
	may    []string // folders
}

// rules are looked through in order; a package under none of them is an error.
var rules = []rule{
	{"source/kernel/neuron", 0, []string{"source/libs/fdt", "source/libs/sockns"}},
	{"source/libs", 0, nil},
	{"source/api", 0, []string{"source/libs"}},
	{"source/services", 1, []string{"source/libs", "source/api"}},
	{"source/init", 1, []string{"source/libs", "source/api"}},
	{"source/apps", 1, []string{"source/libs", "source/api"}},
	// Every program in one file: it starts them, and does nothing else.
	{"source/nexus", 0, []string{"source/services", "source/init", "source/apps", "source/libs/svc"}},
	{"tools/nx", 0, []string{"source/libs", "source/api", "tools/nx-net"}}, // one nx for the operator
	{"tools", 1, []string{"source/libs", "source/api"}},
	{"tests", 0, []string{"source", "tools"}},
	{"docs", 0, []string{"source", "tools"}},
}

// kernelStandard is what of the standard library the kernel's image may import.
var kernelStandard = []string{"math/bits", "unsafe"}

// guestModules are the modules that may be linked into programs of the guest: each costs memory and start-up time there.
var guestModules = []string{
	"capnproto.org/go/capnp/v3",
	"github.com/colega/zeropool", // capnp's
	"github.com/google/btree",    // gvisor's
	"github.com/insomniacslk/dhcp",
	"github.com/josharian/native", // dhcp's
	"github.com/pierrec/lz4/v4",   // dhcp's
	"github.com/u-root/uio",       // dhcp's
	"golang.org/x/exp",            // gvisor's
	"golang.org/x/net",            // netutil
	"golang.org/x/sync",           // capnp's
	"golang.org/x/sys",
	"golang.org/x/time", // gvisor's
	"gvisor.dev/gvisor",
	module,
}

// vagueNames say nothing about what a package is for.
var vagueNames = []string{"util", "utils", "common", "helpers", "misc", "shared"}

// listed is what `go list` says about a package.
type listed struct {
	ImportPath string
	Name       string
	Standard   bool
	Imports    []string
	Module     *struct{ Path string }
}

// list asks the go tool; environment are variables beside this process's own.
func list(t *testing.T, environment []string, arguments ...string) []listed {
	t.Helper()
	command := exec.Command("go", append([]string{"list", "-json=ImportPath,Name,Standard,Imports,Module"}, arguments...)...)
	command.Dir = root
	command.Env = append(os.Environ(), environment...)
	var problems bytes.Buffer
	command.Stderr = &problems
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, problems.Bytes())
	}
	var all []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var one listed
		err := decoder.Decode(&one)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
}

var guest = []string{"GOOS=linux", "GOARCH=riscv64", "CGO_ENABLED=0"}

// folder is the folder of one of the module's packages; false for somebody else's.
func folder(path string) (string, bool) { return strings.CutPrefix(path, module+"/") }

func under(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

// ruleOf returns the rule of a package and its part.
func ruleOf(path string) (r rule, part string, ok bool) {
	for _, r := range rules {
		if !under(path, r.folder) {
			continue
		}
		names := strings.Split(path, "/")
		end := min(strings.Count(r.folder, "/")+1+r.parts, len(names))
		return r, strings.Join(names[:end], "/"), true
	}
	return rule{}, "", false
}

// judge says why package from may not import to, both folders of the module; "" when it may.
func judge(from, to string) string {
	r, part, ok := ruleOf(from)
	if !ok {
		return from + " is under no rule: add one to tests/deps, and say why in docs/style.md"
	}
	if under(to, part) || slices.ContainsFunc(r.may, func(f string) bool { return under(to, f) }) {
		return ""
	}
	return fmt.Sprintf("%s imports %s: of the module it may import %s", from, to, strings.Join(append([]string{part}, r.may...), ", "))
}

// The rules themselves refuse what they are there for.
func TestJudge(t *testing.T) {
	tests := []struct {
		from, to string
		may      bool
	}{
		{"source/services/echod/program", "source/services/echod/hello", true},
		{"source/services/echod/program", "source/libs/svc", true},
		{"source/services/echod/program", "source/services/fetchd/fetch", false},
		{"source/services/echod", "source/services/echodx", false},
		{"source/services/netstackd/nic", "source/services/virtionetd/driver", false},
		{"source/services/fetchd/fetch", "source/kernel/neuron/internal/abi", false},
		{"source/libs/svc", "source/libs/channel", true},
		{"source/libs/svc", "source/api/netapi", false},
		{"source/libs/svc", "source/services/echod/program", false},
		{"source/api/netapi", "source/libs/channel", true},
		{"source/api/netapi", "source/services/netstackd/control", false},
		{"source/kernel/neuron/internal/vm", "source/kernel/neuron/internal/mem", true},
		{"source/kernel/neuron", "source/libs/fdt", true},
		{"source/kernel/neuron", "source/libs/frameq", false},
		{"source/nexus", "source/services/echod/program", true},
		{"source/nexus", "source/kernel/neuron", false},
		{"tools/nx/internal/boot", "tools/mkkernel", false},
		{"tools/nx/internal/cli", "tools/nx-net", true},
		{"tools/nx-net", "tools/nx/internal/cli", false},
		{"tools/nx-net", "source/services/netstackd/netstack", false},
		{"tools/nx", "source/services/echod/program", false},
		{"elsewhere", "source/libs/svc", false},
	}
	for _, tt := range tests {
		if got := judge(tt.from, tt.to); (got == "") != tt.may {
			t.Errorf("%s -> %s: %q, want allowed %v", tt.from, tt.to, got, tt.may)
		}
	}
}

func TestImports(t *testing.T) {
	for _, build := range []struct {
		name        string
		environment []string
		arguments   []string
	}{
		{"host", nil, []string{"./..."}},
		{"guest", guest, []string{"./..."}},
		{"kernel", guest, []string{"-tags", "neuron", "./source/kernel/neuron/..."}},
	} {
		t.Run(build.name, func(t *testing.T) {
			edges := 0
			for _, p := range list(t, build.environment, build.arguments...) {
				from, ok := folder(p.ImportPath)
				if !ok {
					t.Errorf("%s is no package of %s", p.ImportPath, module)
					continue
				}
				if slices.Contains(vagueNames, p.Name) {
					t.Errorf("package %s: call it by what it is for", p.ImportPath)
				}
				for _, path := range p.Imports {
					to, ok := folder(path)
					if !ok {
						continue
					}
					edges++
					if why := judge(from, to); why != "" {
						t.Error(why)
					}
				}
			}
			if edges < 10 {
				t.Errorf("%d imports seen: the module has more", edges)
			}
		})
	}
}

// The kernel's image is made of the module and of what of the standard library runs no code of its own.
func TestKernelStandard(t *testing.T) {
	all := list(t, guest, "-deps", "-tags", "neuron", "./source/kernel/neuron")
	ours := 0
	for _, p := range all {
		if p.Standard {
			continue
		}
		ours++
		for _, path := range p.Imports {
			if _, ok := folder(path); !ok && !slices.Contains(kernelStandard, path) {
				t.Errorf("%s imports %s: of the standard library the kernel may import %s", p.ImportPath, path, strings.Join(kernelStandard, ", "))
			}
		}
	}
	if ours < 20 {
		t.Errorf("%d packages seen: the kernel has more", ours)
	}
}

// What is linked into the guest is a decision, not an accident.
func TestGuestModules(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range list(t, guest, "-deps", "./source/nexus", "./source/services/...", "./source/apps/...", "./source/init/...") {
		if p.Module == nil || seen[p.Module.Path] {
			continue
		}
		seen[p.Module.Path] = true
		if !slices.Contains(guestModules, p.Module.Path) {
			t.Errorf("module %s is linked into the guest: add it to guestModules with a word on what for, or keep it out", p.Module.Path)
		}
	}
	for _, path := range guestModules {
		if !seen[path] {
			t.Errorf("module %s is not linked into the guest any more: remove it from guestModules", path)
		}
	}
}

// mayBeUnsafe reports whether a file of this name may import unsafe.
func mayBeUnsafe(name string) bool {
	return strings.HasSuffix(name, "_unsafe.go") || strings.HasSuffix(name, "_test.go")
}

// importsUnsafe reads the imports of a file, whatever it is built for. runtime's linknames need the import too.
func importsUnsafe(path string) (bool, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		return false, err
	}
	for _, i := range file.Imports {
		if i.Path.Value == `"unsafe"` {
			return true, nil
		}
	}
	return false, nil
}

func TestUnsafe(t *testing.T) {
	if mayBeUnsafe("at.go") || mayBeUnsafe("unsafe.go") || !mayBeUnsafe("at_unsafe.go") || !mayBeUnsafe("at_test.go") {
		t.Error("mayBeUnsafe")
	}
	found := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (strings.HasPrefix(name, ".") && name != "." && name != ".." || path == filepath.Join(root, "build")):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		uses, err := importsUnsafe(path)
		if err != nil {
			return err
		}
		if !uses {
			return nil
		}
		found++
		if !mayBeUnsafe(name) {
			t.Errorf("%s imports unsafe: move what needs it to a file named *_unsafe.go, and say there who guarantees it", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Error("no file imports unsafe: the walk has missed the kernel")
	}
}
