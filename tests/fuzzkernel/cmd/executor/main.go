// Executor runs a fuzzer's program (package program), which is descriptor 0 in its binary form, and leaves the results in descriptor 1.
//
// It is no ordinary Go program: it begins at entry, in entry_riscv64.s, and the Go runtime never starts, so that all threads,
// signals and memory are the program's. It is linked with -ldflags '-E main.entry'; its Go functions are nosplit and keep no
// pointers. With an argument it is a program's list of that letter, a for 0, that has been executed anew.
package main

func main() {}
