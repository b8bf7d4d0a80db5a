// Command nexus-init is process 1; see package program.
package main

import "nexus/source/init/nexus-init/program"

func main() { program.Main() }
