// Mkkernel builds the neuron kernel image and proves what a Go kernel without a runtime has to keep to.
//
//	mkkernel [-o build/neuron.bin] [-elf build/neuron.elf] [-tags TAG,…] [PACKAGE]
//	mkkernel symbolize [-elf build/neuron.elf] < console
//
// It links PACKAGE (default ./source/kernel/neuron) with the stock toolchain at a high address, refuses it if any of its
// functions could reach the allocator or another unlisted function of the runtime, uses a floating-point register, or
// if a package of it has an initialiser; then it lays the segments out as the raw image that the firmware jumps into and
// points the runtime's panic entries at the kernel's own. The ELF file is kept for symbolize and for debuggers.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

const defaultELF = "build/neuron.elf"

func main() {
	var err error
	if len(os.Args) > 1 && os.Args[1] == "symbolize" {
		err = runSymbolize(os.Args[2:], os.Stdin, os.Stdout)
	} else {
		err = runBuild(os.Args[1:], os.Stdout)
	}
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mkkernel:", err)
		os.Exit(1)
	}
}

// options is the build command line.
type options struct {
	image, elf  string
	directory   string // where the go tool runs, "" for here
	packagePath string
	tags        string   // build tags, with commas
	fatal       []string // candidates for the symbol that patched entries jump to
	float       []string // functions that may use floating-point registers
}

// runBuild builds, checks and writes the image, and prints one line about it.
func runBuild(args []string, stdout io.Writer) error {
	var o options
	flags := flag.NewFlagSet("mkkernel", flag.ContinueOnError)
	flags.StringVar(&o.image, "o", "build/neuron.bin", "raw image to write")
	flags.StringVar(&o.elf, "elf", defaultELF, "ELF file to write")
	fatal := flags.String("fatal", "main.kfatal,nexus/source/kernel/neuron/internal/arch.Fatal",
		"assembly function that patched runtime entries jump to: the first of these that exists")
	tags := flags.String("tags", "", "build tags besides neuron, with commas")
	const arch = "nexus/source/kernel/neuron/internal/arch."
	float := flags.String("float", arch+"SaveFloat,"+arch+"LoadFloat,"+arch+"probeFloat,"+arch+"SaveVector,"+arch+"LoadVector",
		"functions that may use floating-point or vector registers")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.tags = strings.Trim("neuron,"+*tags, ",")
	o.fatal = strings.Split(*fatal, ",")
	o.float = strings.Split(*float, ",")
	switch flags.NArg() {
	case 0:
		o.packagePath = "./source/kernel/neuron"
	case 1:
		o.packagePath = flags.Arg(0)
	default:
		return fmt.Errorf("one package at a time, not %q", flags.Args())
	}
	summary, err := build(o)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, summary)
	return nil
}

// build is the whole pipeline.
func build(o options) (summary string, err error) {
	packages, err := listPackages(o)
	if err != nil {
		return "", err
	}
	if err := link(o, packages); err != nil {
		return "", err
	}
	program, err := load(o.elf)
	if err != nil {
		return "", err
	}
	checked, err := program.check(packages, o.float)
	if err != nil {
		return "", err
	}
	image, err := program.flatten()
	if err != nil {
		return "", err
	}
	patched, err := program.patch(image, o.fatal)
	if err != nil {
		return "", err
	}
	if err := replace(o.image, image.bytes); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: %d KiB and %d KiB of zeroed memory, %d functions checked, %d runtime entries patched",
		o.image, kib(uint64(len(image.bytes))), kib(image.memory-uint64(len(image.bytes))), checked, patched), nil
}

func kib(n uint64) uint64 { return (n + 1023) / 1024 }
