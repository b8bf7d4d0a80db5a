// Command benchd is the benchmark's server; see package program.
package main

import "nexus/source/apps/benchd/program"

func main() { program.Main() }
