package netcapnp

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"nexus/source/api/internal/schema"
)

// TestGenerated fails when net.capnp.go is not what the pinned generator makes of net.capnp.
func TestGenerated(t *testing.T) {
	want, err := schema.Generate("../net.capnp")
	if errors.Is(err, schema.ErrNoCompiler) {
		t.Skip("NOT COMPARED: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("net.capnp.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("net.capnp.go is stale: run go generate ./source/api/netcapnp and commit it")
	}
}
