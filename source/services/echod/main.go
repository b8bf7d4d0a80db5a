// Command echod is the echo and /hello server; see package program.
package main

import "nexus/source/services/echod/program"

func main() { program.Main() }
