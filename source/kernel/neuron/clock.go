//go:build neuron

package main

import "nexus/source/kernel/neuron/internal/arch"

// Registers of the goldfish real-time clock (QEMU docs/specs, Android's goldfish virtual hardware): reading the low half latches
// the high one.
const (
	rtcLow  = 0
	rtcHigh = 4

	// fixedEpoch is what the wall clock shows at boot in the deterministic profile: 2026-01-01T00:00:00Z.
	fixedEpoch = 1767225600_000_000_000
)

// wallClock is the time in nanoseconds since 1970.
func wallClock() uint64 {
	if board.Deterministic || board.RTC == 0 {
		return fixedEpoch
	}
	base := kernelAddress(board.RTC)
	low := uint64(arch.Load32(base + rtcLow))
	return uint64(arch.Load32(base+rtcHigh))<<32 | low
}
