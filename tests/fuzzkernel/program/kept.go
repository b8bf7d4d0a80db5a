package program

// Operations that know what their calls must give, whatever runs beside them and whichever signals come.
//
// A stream is a way for bytes, with a descriptor for its reading end and two for its writing one. Each Send has a number below
// Sends, which its bytes carry (number times 8, plus the place in what is sent modulo Period), and each Receive looks where they
// are from: what a call says it has written must arrive once, in order and from one stream. A call may give EINTR only if a handler has
// run meanwhile, and one that is restarted by signal Restarting only if another's has. None may end before its time.
const (
	Streams    = 8
	Sends      = 31
	Period     = 7
	MostBytes  = 120 << 10 // of a Send or Receive
	Restarting = 10        // the signal whose action has SA_RESTART; those of the others do not

	// Descriptors of stream i: First + PerStream*i and on, far from those of other calls.
	DescriptorStreams = 2000
	PerStream         = 4
	ReadEnd           = 0
	WriteEnd          = 1 // dup3 may make it another stream's
	KeptEnd           = 2 // the same end, and never another's
)

// Ways of a Send and a Receive.
const (
	Plain   = iota // read, write
	Vectors        // readv, writev of three buffers
	Message        // recvfrom, sendto, for pairs of sockets
	Whole          // the same, and a Receive says MSG_WAITALL
	Ways
)

// Wrong is what an operation found.
type Wrong uint64

// Wrongs.
const (
	TooMuch Wrong = 1 + iota
	Uninterrupted
	NotRestarted
	TooEarly
	Unasked
	Disordered
	Split
	Surplus
	Lost
	Stuck
	Unexpected
)

// Wrongs are their texts; behind them stand what the call gave and what it should have.
var Wrongs = map[Wrong]string{
	TooMuch: "returned more than it was asked for", Uninterrupted: "was interrupted, and no handler has run",
	NotRestarted: "was interrupted, and each handler that has run restarts it", TooEarly: "ended before its time",
	Unasked: "timed out without a time", Disordered: "gave bytes in another order than they were sent in",
	Split: "gave bytes of a call whose others went elsewhere", Surplus: "gave more of a call's bytes than that said it sent",
	Lost: "said that it sent bytes which never arrived", Stuck: "does not go on, and nothing is left to wait for",
	Unexpected: "gave another result than it must",
}
