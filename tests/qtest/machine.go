// Package qtest runs QEMU's own virtio devices, network and console, without any guest: the
// machine's only program is two instructions that sleep for ever, and the test reads and writes
// device registers through QEMU's qtest protocol. The machine's memory is a file that both map, so rings
// and buffers are really shared.
package qtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nexus/source/libs/virtio/dma"
)

// The machine, `-M virt`.
const (
	MemoryBase = dma.Addr(0x8000_0000)
	MemorySize = 16 << 20
	slotBase   = 0x1000_1000
	slotStride = 0x1000
	firstIRQ   = 1
)

// sleep is what the machine executes from MemoryBase on: wfi; j .-4. A stopped machine
// would do, but its devices move no frames.
var sleep = []byte{0x73, 0x00, 0x50, 0x10, 0x6f, 0xf0, 0xdf, 0xff}

// answerTime bounds every wait for QEMU.
const answerTime = 20 * time.Second

// ErrMissing: QEMU is not installed.
var ErrMissing = errors.New("qemu-system-riscv64 not found: install Debian's qemu-system-misc (7.2 or newer)")

// Machine is a running QEMU.
type Machine struct {
	dir    string
	cmd    *exec.Cmd
	stderr *strings.Builder
	exited chan struct{}
	conn   net.Conn
	memory dma.Region

	ask     sync.Mutex // held for one question and its answer
	answers chan string

	mu     sync.Mutex // guards what follows
	levels map[int]bool
	onIRQ  map[int]func(level bool)
}

// Start runs QEMU with args beside the machine's own. dir is for sockets and the memory file.
// Error: ErrMissing.
func Start(dir string, args ...string) (*Machine, error) {
	qemu, err := exec.LookPath("qemu-system-riscv64")
	if err != nil {
		return nil, ErrMissing
	}
	m := &Machine{
		dir: dir, stderr: &strings.Builder{}, exited: make(chan struct{}),
		answers: make(chan string, 1), levels: make(map[int]bool), onIRQ: make(map[int]func(bool)),
	}
	if err := m.start(qemu, args); err != nil {
		m.Close()
		return nil, fmt.Errorf("%w (QEMU says: %s)", err, strings.TrimSpace(m.stderr.String()))
	}
	return m, nil
}

func (m *Machine) start(qemu string, args []string) error {
	if err := m.mapMemory(); err != nil {
		return err
	}
	socket := filepath.Join(m.dir, "qtest")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	defer listener.Close()
	m.cmd = exec.Command(qemu, append([]string{
		"-M", "virt,memory-backend=ram", "-display", "none", "-bios", "none", "-nodefaults",
		"-object", fmt.Sprintf("memory-backend-file,id=ram,size=%d,mem-path=%s,share=on", MemorySize, m.memoryPath()),
		"-m", strconv.Itoa(MemorySize >> 20),
		"-qtest", "unix:" + socket, "-qtest-log", "/dev/null",
		"-qmp", "unix:" + m.qmpPath() + ",server=on,wait=off",
	}, args...)...)
	m.cmd.Stderr = m.stderr
	if err := m.cmd.Start(); err != nil {
		return err
	}
	go func() {
		m.cmd.Wait()
		close(m.exited)
		listener.Close() // Accept ends when QEMU does not get that far
	}()
	if err := listener.(*net.UnixListener).SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	if m.conn, err = listener.Accept(); err != nil {
		return fmt.Errorf("QEMU did not connect: %w", err)
	}
	go m.listen(bufio.NewScanner(m.conn))
	return nil
}

func (m *Machine) memoryPath() string { return filepath.Join(m.dir, "memory") }
func (m *Machine) qmpPath() string    { return filepath.Join(m.dir, "qmp") }

func (m *Machine) mapMemory() error {
	f, err := os.Create(m.memoryPath())
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(MemorySize); err != nil {
		return err
	}
	b, err := dma.MapShared(f, MemorySize)
	if err != nil {
		return err
	}
	copy(b, sleep)
	m.memory = dma.Region{Bytes: b, Base: MemoryBase}
	return nil
}

// Close ends QEMU.
func (m *Machine) Close() error {
	if m.conn != nil {
		m.conn.Close()
	}
	if m.cmd != nil && m.cmd.Process != nil {
		m.cmd.Process.Kill()
		<-m.exited
	}
	if m.memory.Bytes == nil {
		return nil
	}
	b := m.memory.Bytes
	m.memory.Bytes = nil
	return unix.Munmap(b)
}

// Memory gives n bytes of the machine's memory at byte off. The first page holds its program.
func (m *Machine) Memory(off, n int) (dma.Region, error) { return m.memory.Cut(off, n) }

// MemoryFile opens the file behind the whole memory.
func (m *Machine) MemoryFile() (*os.File, error) { return os.OpenFile(m.memoryPath(), os.O_RDWR, 0) }

// listen takes QEMU's lines apart: interrupt lines as they change, and answers.
func (m *Machine) listen(lines *bufio.Scanner) {
	defer close(m.answers)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 3 && words[0] == "IRQ" {
			n, err := strconv.Atoi(words[2])
			if err != nil {
				return
			}
			m.setLevel(n, words[1] == "raise")
			continue
		}
		m.answers <- lines.Text()
	}
}

func (m *Machine) setLevel(n int, level bool) {
	m.mu.Lock()
	m.levels[n] = level
	f := m.onIRQ[n]
	m.mu.Unlock()
	if f != nil {
		f(level)
	}
}

// Command asks QEMU one thing and gives what it answers after OK.
func (m *Machine) Command(format string, args ...any) (string, error) {
	m.ask.Lock()
	defer m.ask.Unlock()
	question := fmt.Sprintf(format, args...)
	if err := m.conn.SetWriteDeadline(time.Now().Add(answerTime)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(m.conn, question); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	select {
	case answer, ok := <-m.answers:
		rest, found := strings.CutPrefix(answer, "OK")
		if !ok || !found {
			return "", fmt.Errorf("qtest: %s: %q", question, answer)
		}
		return strings.TrimSpace(rest), nil
	case <-ctx.Done():
		return "", fmt.Errorf("qtest: %s: %w", question, ctx.Err())
	}
}
