// Mkarchive makes the boot archive that neuron mounts as its root.
//
//	mkarchive -o out.cpio /init=build/init /bin/echod=build/echod /pkg=pkg
//
// Each argument is DEST=SRC: SRC is a file, or a directory whose regular files appear below DEST. Programs (/init and
// everything in /bin and /tests) get mode 0755, all else 0644. Files keep their times, or have the one that the environment's
// SOURCE_DATE_EPOCH says. The archive is written whole or not at all; the same inputs give the same bytes.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"nexus/tools/mkarchive/newc"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "mkarchive:", err)
		os.Exit(1)
	}
}

// run does what the command line says; usage goes to stderr.
func run(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("mkarchive", flag.ContinueOnError)
	flags.SetOutput(stderr)
	output := flags.String("o", "", "archive to write")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: mkarchive -o ARCHIVE DEST=SRC ...")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *output == "" || flags.NArg() == 0 {
		flags.Usage()
		return fmt.Errorf("an archive name and at least one DEST=SRC are needed")
	}
	files, err := collect(flags.Args(), os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	if err := newc.Write(&archive, files); err != nil {
		return err
	}
	return replace(*output, archive.Bytes())
}

// replace writes data to name by way of a temporary file beside it, so that a reader never sees half of it.
func replace(name string, data []byte) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temporary.Name())
		}
	}()
	if _, err := temporary.Write(data); err != nil {
		temporary.Close()
		return err
	}
	if err := temporary.Chmod(0o644); err != nil {
		temporary.Close()
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), name)
}
