// Nx is the operator's command line for Nexus: it boots the system in QEMU and
// proves what it did.
package main

import (
	"os"

	"nexus/tools/nx/internal/cli"
	"nexus/tools/nx/internal/tap"
)

func main() {
	tap.Probe()
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
