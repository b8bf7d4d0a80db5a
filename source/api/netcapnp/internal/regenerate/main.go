// Command regenerate writes net.capnp.go anew; go generate runs it in source/api/netcapnp.
package main

import (
	"fmt"
	"os"

	"nexus/source/api/netcapnp/internal/schema"
)

func main() {
	text, err := schema.Generate("../net.capnp")
	if err == nil {
		err = os.WriteFile("net.capnp.go", text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "regenerate:", err)
		os.Exit(1)
	}
}
