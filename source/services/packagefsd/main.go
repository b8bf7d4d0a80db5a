// Command packagefsd is the server of package files; see package program.
package main

import "nexus/source/services/packagefsd/program"

func main() { program.Main() }
