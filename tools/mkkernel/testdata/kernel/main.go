//go:build neuron

// A kernel for the tests of mkkernel: it greets, reads beyond a table, says so and powers off.
package main

var (
	stack [16384]byte
	fakeG [512]byte
	table [4]uint64
)

func entry()
func kfatal()
func sbi(extension, function, a0 uint64)

func main() {
	entry()
	kfatal()
}

type point struct {
	name string
	x, y int
}

var points = [2]point{{"a", 1, 2}, {"b", 3, 4}}

//go:noinline
func same(a, b *point) bool { return *a == *b }

//go:noinline
func read(i int) uint64 { return table[i] }

//go:noinline
func put(text string) {
	for i := range len(text) {
		sbi(1, 0, uint64(text[i]))
	}
}

func start() {
	put("hello from a small kernel\n")
	if same(&points[0], &points[1]) {
		put("wrong\n")
	}
	extra()
	put("not reached\n")
	off()
}

func fatal(code, ra uint64) {
	put("neuron: fatal: runtime ")
	putHex(code)
	put(" ")
	putHex(ra)
	put(" ")
	putHex(0)
	put(" sp ")
	putHex(1)
	put("\n")
	off()
}

func putHex(v uint64) {
	put("0x")
	for shift := 60; shift >= 0; shift -= 4 {
		sbi(1, 0, uint64("0123456789abcdef"[v>>shift&15]))
	}
}

// off shuts the machine down: SBI system reset, type 0.
func off() { sbi(0x53525354, 0, 0) }
