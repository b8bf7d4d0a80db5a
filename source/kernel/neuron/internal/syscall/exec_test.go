package syscall

import (
	"encoding/binary"
	"strings"
	"testing"
	"unsafe"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/archive"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/rootfs"
	"nexus/tools/mkarchive/newc"
)

const nrExecve = 221

// bootArchive makes files the boot archive.
func bootArchive(t *testing.T, files ...newc.File) {
	t.Helper()
	var b strings.Builder
	if err := newc.Write(&b, files); err != nil {
		t.Fatal(err)
	}
	words := make([]uint64, b.Len()/8+1)
	aligned := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), b.Len())
	copy(aligned, b.String())
	if code, at := rootfs.Open(aligned, mem.Phys(0)); code != archive.OK {
		t.Fatal(code.String(), at)
	}
}

// TestExecutesInTurn: the strings of a new program are taken in pieces; who comes meanwhile waits, and goes on when the first is done or
// has ended.
func TestExecutesInTurn(t *testing.T) {
	for name, ends := range map[string]bool{"done": false, "ended": true} {
		t.Run(name, func(t *testing.T) {
			p := start(t)
			bootArchive(t, newc.File{Path: "program", Mode: 0o755, Data: []byte("no executable")})
			other, err := proc.NewThread(p.thread.Process, p.hart)
			if err != abi.OK {
				t.Fatal(err)
			}
			other.Start()
			path := p.put([]byte("/program\x00")...)
			word := p.put('w', 0)
			var list []byte
			for range 500 {
				list = binary.LittleEndian.AppendUint64(list, word)
			}
			argv := p.put(append(list, make([]byte, 8)...)...)
			first := p.thread
			if _, _, more := p.call(nrExecve, path, argv, 0); !more {
				t.Fatal("500 strings in one piece")
			}
			p.thread = other
			for range 10 {
				if _, _, waits := p.call(nrExecve, path, argv, 0); !waits {
					t.Fatalf("%s: two take their strings at once", name)
				}
			}
			if ends {
				first.Exit(0)
			} else {
				p.thread = first
				p.executes(name)
				p.thread = other
			}
			p.executes(name)
		})
	}
}

// executes goes on with an execve that was begun, and finds the file to be no executable.
func (p *caller) executes(name string) {
	p.t.Helper()
	for range 100 {
		if _, err, more := p.again(); !more {
			if err != abi.ENOEXEC {
				p.t.Errorf("%s: error %d", name, err)
			}
			return
		}
	}
	p.t.Errorf("%s: no end", name)
}
