package pkgcapnp

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"nexus/source/api/internal/schema"
)

// TestGenerated fails when pkg.capnp.go is not what the pinned generator makes of pkg.capnp.
func TestGenerated(t *testing.T) {
	want, err := schema.Generate("../pkg.capnp")
	if errors.Is(err, schema.ErrNoCompiler) {
		t.Skip("NOT COMPARED: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("pkg.capnp.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("pkg.capnp.go is stale: run go generate ./source/api/pkgcapnp and commit it")
	}
}
