//go:build neuron && !provoke

package main

func provoke() {}
