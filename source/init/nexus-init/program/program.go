// Package program is nexus-init: it is process 1: it holds the device directory, starts the
// services of the manifest with exactly the rights named there, and ends, and
// with it the machine, when the boot is proven or has failed.
//
// docs/architecture/09-nexus-init.md describes it; the work is in the packages
// beside this file.
package program

import (
	"fmt"
	"io"
	"os"
	"strings"

	"nexus/source/init/nexus-init/bootline"
	"nexus/source/init/nexus-init/devices"
	"nexus/source/init/nexus-init/manifest"
	"nexus/source/init/nexus-init/supervise"
	"nexus/source/libs/svc"
)

// Main is the program.
func Main() {
	err := boot()
	if err == nil {
		os.Exit(svc.ExitDone)
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		svc.Mark("nexus-init: " + line)
	}
	svc.Mark("nexus-init: boot failed")
	os.Exit(svc.ExitRestart)
}

func boot() error {
	self, err := svc.Open()
	if err != nil {
		return err
	}
	directory, err := self.Descriptor("devices")
	if err != nil {
		return err
	}
	options, err := bootline.Parse(os.Getenv("NEXUS_CMDLINE"))
	if err != nil {
		return err
	}
	system, err := readManifest(options.Manifest)
	if err != nil {
		return err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	return supervise.Run(supervise.Config{
		Devices:  devices.Kernel(directory.Fd()),
		Manifest: system,
		Options:  options,
		Mark:     svc.Mark,
		Input:    null.Fd(),
		After:    supervise.After,
	})
}

// readManifest reads the manifest of that path, bounded.
func readManifest(path string) (*manifest.Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: add it to the boot archive or name another with nexus.manifest=", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, manifest.MaxSize+1))
	if err != nil {
		return nil, err
	}
	system, err := manifest.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return system, nil
}
