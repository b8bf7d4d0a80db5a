//go:build neuron

package main

// extra is what the tests replace.
func extra() { read(len(points) + 5) }
