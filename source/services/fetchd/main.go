// Command fetchd is the fetcher of URLs; see package program.
package main

import "nexus/source/services/fetchd/program"

func main() { program.Main() }
