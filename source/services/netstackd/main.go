// Command netstackd is the network stack; see package program.
package main

import "nexus/source/services/netstackd/program"

func main() { program.Main() }
