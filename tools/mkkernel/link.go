package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Where the kernel lies. The firmware loads and starts it at physical 0x80200000; its virtual address there is the
// kernel's map of physical memory. The linker takes a signed number, and puts the ELF header into the page below.
const (
	linkText  = "-0x3f7fdff000" // 0xffffffc080201000
	linkRound = "0x1000"
	entryName = "main.entry"

	imageBase    = 0xffffffc0_80200000 // virtual
	physicalBase = 0x80200000
	physicalMax  = physicalBase + maxImage
)

// compilerFlags for every package of the kernel: -+ makes errors of most heap use, -wb=false of write barriers;
// disablenil leaves out nil checks, which would be loads that a fault handler has to tell from real ones.
const compilerFlags = "-+ -wb=false -d=disablenil"

// allowedImports is what kernel packages may import of the standard library: nothing that runs code of its own.
var allowedImports = []string{"unsafe", "math/bits"}

// listing is what `go list` says about a package.
type listing struct {
	ImportPath string
	Name       string
	Standard   bool
	Imports    []string
}

// listPackages returns the import paths of all packages the kernel is made of, its main package last.
func listPackages(o options) (packages []string, err error) {
	command := goCommand(o.directory, "list", "-deps", "-tags", o.tags, "-json=ImportPath,Name,Standard,Imports", o.packagePath)
	out, err := command.Output()
	if err != nil {
		return nil, commandError("go list", err, out)
	}
	var own []listing
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listing
		if err := decoder.Decode(&l); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if !l.Standard {
			own = append(own, l)
			packages = append(packages, l.ImportPath)
		}
	}
	if len(own) == 0 || own[len(own)-1].Name != "main" {
		return nil, fmt.Errorf("%s is not a main package", o.packagePath)
	}
	return packages, checkImports(own, packages)
}

// checkImports wants packages to import each other and allowedImports, and nothing else.
func checkImports(own []listing, packages []string) error {
	var problems []error
	for _, l := range own {
		for _, name := range l.Imports {
			if !slices.Contains(packages, name) && !slices.Contains(allowedImports, name) {
				problems = append(problems, fmt.Errorf("package %s imports %s: of the standard library a kernel package may import only %s",
					l.ImportPath, name, strings.Join(allowedImports, " and ")))
			}
		}
	}
	return errors.Join(problems...)
}

// link builds the ELF file.
func link(o options, packages []string) error {
	output, err := filepath.Abs(o.elf)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
		return err
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-tags", o.tags, "-o", output}
	for _, p := range packages {
		args = append(args, "-gcflags="+p+"="+compilerFlags)
	}
	args = append(args, fmt.Sprintf("-ldflags=-T %s -R %s -E %s", linkText, linkRound, entryName), o.packagePath)
	out, err := goCommand(o.directory, args...).CombinedOutput()
	if err != nil {
		return commandError("go build", err, out)
	}
	return nil
}

// goCommand runs the go tool for the target, whatever the environment says.
func goCommand(directory string, args ...string) *exec.Cmd {
	command := exec.Command("go", args...)
	command.Dir = directory
	command.Env = append(os.Environ(), "GOOS=linux", "GOARCH=riscv64", "CGO_ENABLED=0", "GORISCV64=rva20u64", "GOEXPERIMENT=", "GOFLAGS=")
	return command
}

// commandError says which command failed and what it printed.
func commandError(name string, err error, out []byte) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(out) == 0 {
		out = exit.Stderr
	}
	return fmt.Errorf("%s: %w\n%s", name, err, bytes.TrimSpace(out))
}

// replace writes data to name by way of a temporary file beside it, so that nobody boots half an image.
func replace(name string, data []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temporary.Name())
		}
	}()
	_, err = temporary.Write(data)
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Close())
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), name)
}
