package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"

	"nexus/source/libs/named"
	"nexus/tools/nx/internal/machine"
)

// version is what nx version says; "" where something is not known or not there.
type version struct {
	Version  string `json:"version"`  // of the module
	Revision string `json:"revision"` // of the source, of the version control system
	Time     string `json:"time"`     // of the revision
	Modified bool   `json:"modified"` // the source was not that of the revision
	Go       string `json:"go"`
	QEMU     string `json:"qemu"`
	Kernel   string `json:"kernel"`  // first 12 digits of the image's SHA-256
	Archive  string `json:"archive"` // and of the boot archive's
}

func newVersion(s streams) *cobra.Command {
	var qemu, kernel, archive string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say the versions of nx, Go, QEMU, and of what was built",
		Long: `Say the version and the revision that nx was built from, the Go toolchain's, QEMU's where it is found, and the
beginnings of the SHA-256 of the kernel image and the boot archive where they were built: two machines with the same
numbers boot the same system.

Exit status:
  0  done
  2  wrong usage`,
		Example: "  nx version\n  nx version --json",
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, _ := debug.ReadBuildInfo() // nil is a build without
			v := versionOf(info)
			v.QEMU = qemuVersion(cmd.Context(), qemu)
			v.Kernel, v.Archive = digest(kernel), digest(archive)
			if asJSON {
				out := json.NewEncoder(s.out)
				out.SetIndent("", " ")
				return out.Encode(v)
			}
			_, err := io.WriteString(s.out, v.text())
			return err
		},
	}
	cmd.Flags().StringVar(&qemu, "qemu", defaultQEMU(), "QEMU to ask ($NEXUS_QEMU)")
	cmd.Flags().StringVar(&kernel, "kernel", defaultKernel, "kernel image")
	cmd.Flags().StringVar(&archive, "archive", defaultArchive, "boot archive")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

// versionOf reads what the Go toolchain put into the program.
func versionOf(info *debug.BuildInfo) version {
	var v version
	if info == nil {
		return v
	}
	v.Version, v.Go = info.Main.Version, info.GoVersion
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

// qemuVersion returns the version of a QEMU that can be used, or "".
func qemuVersion(ctx context.Context, program string) string {
	qemu, err := machine.Find(ctx, program)
	if err != nil {
		return ""
	}
	return qemu.Version.String()
}

// digest returns the beginning of a file's SHA-256, or "".
func digest(path string) string {
	f, err := named.Open(path, machine.MaxFile)
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

func (v version) text() string {
	revision := orUnknown(v.Revision)
	if v.Time != "" {
		revision += " of " + v.Time
	}
	if v.Modified {
		revision += ", modified"
	}
	return fmt.Sprintf("nx       %s\nrevision %s\ngo       %s\nqemu     %s\nkernel   %s\narchive  %s\n",
		orUnknown(v.Version), revision, orUnknown(v.Go), orElse(v.QEMU, "none that can be used: scripts/setup.sh installs one"),
		orElse(v.Kernel, "not built: make build"), orElse(v.Archive, "not built: make build"))
}

func orUnknown(s string) string { return orElse(s, "unknown") }

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
