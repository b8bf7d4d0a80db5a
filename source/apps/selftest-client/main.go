// Command selftest-client is the system's test of itself; see package program.
package main

import "nexus/source/apps/selftest-client/program"

func main() { program.Main() }
