package dma

// Load16 reads the u16 at byte off of b (off even; b aligned to 4, its length a multiple of 4) once. No later access
// of this thread, to memory or to a device, happens before it: "acquire".
func Load16(b []byte, off int) uint16 { return load16(b, off) }

// Store16 writes the u16 at byte off of b (as for Load16) in one piece. It happens
// after every earlier access of this thread: "release".
func Store16(b []byte, off int, v uint16) { store16(b, off, v) }

// Load32 reads the u32 at byte off of b (both multiples of 4) exactly once.
func Load32(b []byte, off int) uint32 { return load32(at32(b, off)) }

// Fence orders every access of this thread before it, to memory and to devices, against every one
// after it.
func Fence() { fence() }
