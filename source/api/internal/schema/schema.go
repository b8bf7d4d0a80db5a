// Package schema runs the Cap'n Proto compiler over a schema of source/api with the capnpc-go generator of the very module
// version that go.mod pins, so that generated code and runtime can never disagree.
package schema

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "capnproto.org/go/capnp/v3"

// ErrNoCompiler says that the capnp program is not installed.
var ErrNoCompiler = errors.New("no capnp compiler in PATH: apt-get install capnproto")

// Generate compiles the schema file (for example "../net.capnp") and returns the Go source generated from it, with the Go
// declarations only: embedded schema data is left out, nobody reflects on it and it costs start-up time.
func Generate(schema string) ([]byte, error) {
	if _, err := exec.LookPath("capnp"); err != nil {
		return nil, ErrNoCompiler
	}
	work, err := os.MkdirTemp("", "capnp")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)

	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", module, err)
	}
	standard := filepath.Join(strings.TrimSpace(string(out)), "std")
	generator := filepath.Join(work, "capnpc-go")
	if err := run("go", "build", "-o", generator, module+"/capnpc-go"); err != nil {
		return nil, err
	}
	if err := compile(schema, standard, generator, work); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(work, filepath.Base(schema)+".go"))
}

// compile feeds capnp's description of the schema to the generator, which writes its file into work.
func compile(schema, standard, generator, work string) error {
	var errs bytes.Buffer
	compiler := exec.Command("capnp", "compile", "-o-", "-I"+standard, "--src-prefix="+filepath.Dir(schema), schema)
	compiler.Stderr = &errs
	description, err := compiler.Output()
	if err != nil {
		return fmt.Errorf("capnp compile: %w: %s", err, errs.Bytes())
	}
	generate := exec.Command(generator, "-promises=false", "-schemas=false", "-structstrings=false")
	generate.Dir = work
	generate.Stdin = bytes.NewReader(description)
	if out, err := generate.CombinedOutput(); err != nil {
		return fmt.Errorf("capnpc-go: %w: %s", err, out)
	}
	return nil
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
