//go:build !neuron

// Package escape keeps values on the kernel's stack. Where there is a heap it does nothing.
package escape

// Hide returns p.
func Hide[T any](p *T) *T { return p }

// HideBytes returns p.
func HideBytes(p []byte) []byte { return p }
