package fetchcapnp

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"nexus/source/api/internal/schema"
)

// TestGenerated fails when fetch.capnp.go is not what the pinned generator makes of fetch.capnp.
func TestGenerated(t *testing.T) {
	want, err := schema.Generate("../fetch.capnp")
	if errors.Is(err, schema.ErrNoCompiler) {
		t.Skip("NOT COMPARED: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("fetch.capnp.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("fetch.capnp.go is stale: run go generate ./source/api/fetchcapnp and commit it")
	}
}
