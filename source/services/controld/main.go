// Command controld joins programs of the host with services of the guest; see package program.
package main

import "nexus/source/services/controld/program"

func main() { program.Main() }
