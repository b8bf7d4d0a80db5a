//go:build !riscv64

// Registers is a guest program.
package main

func main() {}
