// Command regenerate writes NAME.capnp.go, the Go form of source/api/NAME.capnp, into the current directory; go generate
// runs it in source/api/NAMEcapnp.
package main

import (
	"fmt"
	"os"

	"nexus/source/api/internal/schema"
)

func main() {
	if err := regenerate(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "regenerate:", err)
		os.Exit(1)
	}
}

func regenerate(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: regenerate NAME, for source/api/NAME.capnp")
	}
	text, err := schema.Generate("../" + args[0] + ".capnp")
	if err != nil {
		return err
	}
	return os.WriteFile(args[0]+".capnp.go", text, 0o644)
}
