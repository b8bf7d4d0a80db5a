// Command nx is the operator's network commands inside the system; see package program.
package main

import "nexus/source/apps/nx/program"

func main() { program.Main() }
