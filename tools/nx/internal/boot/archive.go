package boot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cavaliergopher/cpio"

	"nexus/source/libs/named"
	"nexus/tools/nx/internal/machine"
)

// archiveFiles lists the regular files of a boot archive with their sizes, by
// path without a leading slash.
func archiveFiles(path string) (map[string]int64, error) {
	f, err := named.Open(path, machine.MaxFile)
	if err != nil {
		return nil, fmt.Errorf("boot archive: %w; `make build` makes one", err)
	}
	defer f.Close()
	files := map[string]int64{}
	in := cpio.NewReader(bufio.NewReaderSize(f, 1<<20))
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("boot archive %s: %w", path, err)
		}
		if h.Mode.IsRegular() {
			// Names are padded with NULs to align the data.
			name, _, _ := strings.Cut(h.Name, "\x00")
			files[strings.TrimPrefix(name, "/")] = h.Size
		}
	}
}
