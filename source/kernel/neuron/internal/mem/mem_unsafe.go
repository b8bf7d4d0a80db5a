package mem

import "unsafe"

const pageRecord = int(unsafe.Sizeof(page{}))

// Bytes is the page at p, which must lie in RAM.
// The physmap covers all of RAM for as long as the kernel runs, so the pointer never dangles.
func Bytes(p Phys) *Page { return (*Page)(virt(p)) }

// bytesAt is n bytes of RAM from p on; the same guarantee as for Bytes.
func bytesAt(p Phys, n int) []byte { return unsafe.Slice((*byte)(virt(p)), n) }

// RAM is n bytes of RAM from p on, for what the firmware left there: the device tree and the boot archive.
// The caller has checked that the range lies in RAM; the same guarantee as for Bytes.
func RAM(p Phys, n int) []byte { return bytesAt(p, n) }

// pageRecords views the bookkeeping memory as records. It is page aligned and len(b) a multiple of the record's size.
func pageRecords(b []byte) []page {
	return unsafe.Slice((*page)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/pageRecord)
}
