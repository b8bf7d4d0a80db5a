// Package sockns is the record of the socket namespace: what neuron and netstackd say to each other about a program's
// inet sockets. docs/architecture/07-contracts-map.md, "Socket namespace", is the contract; this is its form in code.
//
// The kernel compiles this package too. It is restricted Go: no imports, no allocation, no package variables, and no
// function here can panic.
package sockns

// Sizes in bytes.
const (
	Size        = 72 // of a record
	AddressSize = 24 // of an address, also in front of each datagram on a data pair
	MaxDatagram = 65507
)

// Op says what a record means.
type Op uint32

// The kernel asks...
const (
	Open     Op = 1 // new socket ID; Arg0 = Stream or Datagram, Arg1 = protocol; beside it the server's end of the data pair
	Bind     Op = 2 // Local = wanted, port 0 chooses; reply: Errno, Local
	Connect  Op = 3 // Remote; reply once it stands or failed: Errno, Local, Remote; datagram: family 0 dissolves
	Listen   Op = 4 // Arg0 = backlog; reply: Errno, Local
	Option   Op = 5 // Arg0 = level<<16 | name, Arg1 = value
	Shutdown Op = 6 // datagram sockets only; Arg0 = how (0 read, 1 write, 2 both)
	Close    Op = 7 // the program has closed a socket that holds an address but no connection
)

// ...and the server answers or tells.
const (
	Accepted Op = 16 // ID = listener; Local, Remote; Arg0 = the new socket's id; beside it the program's end of its data pair
	Error    Op = 17 // Errno becomes ID's SO_ERROR
	Reply    Op = 18 // answer to Seq
)

// Values of Open's Arg0 and Arg1, as in Linux.
const (
	Stream   = 1 // SOCK_STREAM
	Datagram = 2 // SOCK_DGRAM

	TCP = 6
	UDP = 17
)

// Address families.
const (
	FamilyNone = 0
	FamilyIP4  = 2 // AF_INET
)

// ServerID is the bit that is set in every id the server chose, and in none of the kernel's.
const ServerID = 1 << 31

// Offsets in a record.
const (
	offOp     = 0
	offID     = 4
	offSeq    = 8
	offErrno  = 12
	offArg0   = 16
	offArg1   = 20
	offLocal  = 24
	offRemote = 48
)

// Offsets in an address.
const (
	offFamily = 0
	offPort   = 2
	offZero   = 4
	offIP     = 8
)

// Address is one end of a socket.
type Address struct {
	Family uint16 // FamilyNone or FamilyIP4
	Port   uint16
	IP     [16]byte // IPv4 in the first 4
}

// Record is one message.
type Record struct {
	Op     Op
	ID     uint32 // the socket
	Seq    uint32 // of a request, repeated by its reply; 0 = no reply wanted
	Errno  int32  // Linux/riscv64 number
	Arg0   uint32
	Arg1   uint32
	Local  Address
	Remote Address
}

// Encode stores r in b.
func (r *Record) Encode(b *[Size]byte) {
	put32(b, offOp, uint32(r.Op))
	put32(b, offID, r.ID)
	put32(b, offSeq, r.Seq)
	put32(b, offErrno, uint32(r.Errno))
	put32(b, offArg0, r.Arg0)
	put32(b, offArg1, r.Arg1)
	r.Local.Encode((*[AddressSize]byte)(b[offLocal:offRemote]))
	r.Remote.Encode((*[AddressSize]byte)(b[offRemote:Size]))
}

// Decode loads r from b. Every 72 bytes are a record; whether it makes sense is for the reader of the fields to say.
func (r *Record) Decode(b *[Size]byte) {
	r.Op = Op(get32(b, offOp))
	r.ID = get32(b, offID)
	r.Seq = get32(b, offSeq)
	r.Errno = int32(get32(b, offErrno))
	r.Arg0 = get32(b, offArg0)
	r.Arg1 = get32(b, offArg1)
	r.Local.Decode((*[AddressSize]byte)(b[offLocal:offRemote]))
	r.Remote.Decode((*[AddressSize]byte)(b[offRemote:Size]))
}

// Encode stores a in b.
func (a *Address) Encode(b *[AddressSize]byte) {
	b[offFamily], b[offFamily+1] = byte(a.Family), byte(a.Family>>8)
	b[offPort], b[offPort+1] = byte(a.Port), byte(a.Port>>8)
	for i := offZero; i < offIP; i++ {
		b[i] = 0
	}
	for i := range a.IP {
		b[offIP+i] = a.IP[i]
	}
}

// Decode loads a from b; bytes 4 to 7, which are zero, are not looked at.
func (a *Address) Decode(b *[AddressSize]byte) {
	a.Family = uint16(b[offFamily]) | uint16(b[offFamily+1])<<8
	a.Port = uint16(b[offPort]) | uint16(b[offPort+1])<<8
	for i := range a.IP {
		a.IP[i] = b[offIP+i]
	}
}

// put32 stores v little-endian at b[at:], at being one of the record's offsets.
func put32(b *[Size]byte, at int, v uint32) {
	b[at], b[at+1], b[at+2], b[at+3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}

func get32(b *[Size]byte, at int) uint32 {
	return uint32(b[at]) | uint32(b[at+1])<<8 | uint32(b[at+2])<<16 | uint32(b[at+3])<<24
}
