// Command virtionetd is the driver of the network device; see package program.
package main

import "nexus/source/services/virtionetd/program"

func main() { program.Main() }
