package program

import (
	"testing"

	"nexus/source/kernel/neuron/internal/elf"
	"nexus/source/kernel/neuron/internal/vm"
)

// TestImagesFit: what package elf lets pass can be mapped, and meets neither the stack nor the vDSO.
func TestImagesFit(t *testing.T) {
	if elf.MinAddress != vm.UserStart || elf.MaxAddress != vm.MapEnd {
		t.Errorf("executables from %#x to %#x, want %#x to %#x", elf.MinAddress, elf.MaxAddress, vm.UserStart, uint64(vm.MapEnd))
	}
	if elf.MaxAddress >= vm.StackEnd-vm.StackSize || vdsoAddress < vm.StackEnd {
		t.Error("the stack, the vDSO and executables meet")
	}
}
