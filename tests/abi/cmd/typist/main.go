// Typist says back each line of its standard input with its number, and ends after the line "end".
package main

import (
	"bufio"
	"fmt"
	"os"
)

func main() {
	fmt.Println("typist: type")
	in := bufio.NewScanner(os.Stdin)
	for n := 1; in.Scan(); n++ {
		fmt.Printf("typist: %d %s\n", n, in.Text())
		if in.Text() == "end" {
			return
		}
	}
	os.Exit(1)
}
