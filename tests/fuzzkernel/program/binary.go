package program

import "encoding/binary"

// The binary form: a page with the header, then operations, then what Data holds at first, from a page's start to one's end. All
// words are 64 bits, little-endian.
//
//	0     Magic
//	8     offset of the data
//	16    its size, whole pages
//	64    MaxLists times: offset, operations, rounds, index of the first result
const (
	Magic          = 0x7a7a7566_6e6578 // "nexfuzz"
	HeaderData     = 8
	HeaderDataSize = 16
	HeaderLists    = 64
	ListSize       = 32
	OpSize         = 56
	pageSize       = 4096
)

// Offsets in an operation: code, slot and number, which arguments are slots (a bit each), then the arguments.
const (
	OpCode   = 0
	OpSlot   = 1
	OpNumber = 2
	OpKinds  = 4
	OpArgs   = 8
)

// The results: a page of counters, then a word an operation, what it gave last (a negative errno after an error).
const (
	ResultCalls = 0  // system calls made
	ResultDone  = 8  // threads that have ended
	ResultLives = 16 // threads that were started
	ResultEnd   = 24 // 1 once the main list is through
	ResultWrong = 32 // a Wrong, the first
	ResultCall  = 40 // the number of the call that it is about,
	ResultGot   = 48 // what that gave,
	ResultWant  = 56 // and what it should have
	// Futex calls: those begun, those through, threads that wakes said to have woken, and waits that said to be woken. When all are
	// through the last two are the same number, unless something else woke too (the end of a thread: ResultOther).
	ResultBegun   = 64
	ResultSettled = 72
	ResultWakes   = 80
	ResultWoken   = 88
	ResultOther   = 96
	ResultFirst   = 4096
	// ResultSize has room for every operation.
	ResultSize = ResultFirst + 8*MaxLists*MaxOps
)

// Encode returns the binary form.
func (p *Program) Encode() []byte {
	b := make([]byte, pageSize, pageSize+OpSize*p.Len()+DataSize)
	le := binary.LittleEndian
	le.PutUint64(b[0:], Magic)
	for i, list := range p.Lists {
		at := b[HeaderLists+ListSize*i:]
		le.PutUint64(at[0:], uint64(len(b)))
		le.PutUint64(at[8:], uint64(len(list)))
		le.PutUint64(at[16:], uint64(max(1, p.Rounds[i])))
		le.PutUint64(at[24:], uint64(p.Results(i)))
		for j := range list {
			b = list[j].append(b)
		}
	}
	b = append(b, make([]byte, -len(b)&(pageSize-1))...)
	le.PutUint64(b[HeaderData:], uint64(len(b)))
	first := len(b)
	for _, s := range p.Data {
		end := first + int(s.At-Data) + len(s.Bytes)
		if end > len(b) {
			b = append(b, make([]byte, end-len(b))...)
		}
		copy(b[end-len(s.Bytes):], s.Bytes)
	}
	b = append(b, make([]byte, -len(b)&(pageSize-1))...)
	le.PutUint64(b[HeaderDataSize:], uint64(len(b)-first))
	return b
}

func (o *Op) append(b []byte) []byte {
	kinds := byte(0)
	for i, a := range o.Args {
		if a.Slot {
			kinds |= 1 << i
		}
	}
	b = append(b, byte(o.Code), o.Slot, byte(o.Number), byte(o.Number>>8), kinds, 0, 0, 0)
	for _, a := range o.Args {
		b = binary.LittleEndian.AppendUint64(b, a.Number)
	}
	return b[:len(b):cap(b)]
}
