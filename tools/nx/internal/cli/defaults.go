package cli

import "os"

// What `make build` makes and the contract, from the repository's top.
const (
	defaultKernel   = "build/neuron.img"
	defaultArchive  = "build/boot.cpio"
	defaultDTB      = "build/virt-nexus.dtb"
	defaultContract = "tests/contract/markers.json"
)

// qemuVariable is the environment variable that names another QEMU.
const qemuVariable = "NEXUS_QEMU"

// defaultQEMU is the QEMU to execute where no flag names one.
func defaultQEMU() string {
	if qemu := os.Getenv(qemuVariable); qemu != "" {
		return qemu
	}
	return "qemu-system-riscv64"
}
