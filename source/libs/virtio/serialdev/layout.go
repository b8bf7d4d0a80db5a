package serialdev

import "nexus/source/libs/virtio/queue"

// MemoryBytes is the DMA memory that Open needs, aligned to 64 bytes. In this order lie in it
//
//	rings     control receive and transmit, 32 entries each; receive (16) and transmit (32) of ports 1 to MaxPorts
//	control   32 buffers of 128 bytes to receive into, 32 messages of 8 to send
//	receive   16 buffers of 2 KiB, all of them with the port of the name PortName
//	transmit  18 buffers of 4 KiB: a whole frame of 64 KiB and its header fit
//
// and what is left is not used.
const MemoryBytes = 128 << 10

// Buffers of the port.
const (
	RxBuffers = 16
	RxBuffer  = 2 << 10
	TxBuffers = 18
	TxBuffer  = 4 << 10
)

// MaxPorts is how many ports, from 1 on, are looked at for the one of the right name. Queues must be set up before
// the device is live and tells its ports' names.
const MaxPorts = 4

// Queues, 5.3.2. Port n has receive queue 2n+2 and transmit queue 2n+3; port 0, which has 0 and 1, is a console and
// left alone.
const (
	controlInQueue  = 2
	controlOutQueue = 3

	controlSize  = 32
	controlLeast = 8 // all that a device says at once of our port, and others, must find buffers
	rxSize       = 16
	txSize       = 32
)

const (
	controlBuffer = 128 // a message's header and a name
	messageBytes  = 8
)

func rxQueueOf(port int) int { return 2*port + 2 }
func txQueueOf(port int) int { return 2*port + 3 }

// Offsets in the memory.
var (
	controlInAt  = 0
	controlOutAt = controlInAt + queue.Bytes(controlSize)
	portsAt      = controlOutAt + queue.Bytes(controlSize)
	portBytes    = queue.Bytes(rxSize) + queue.Bytes(txSize) // rings of one port
	controlRxAt  = portsAt + MaxPorts*portBytes
	controlTxAt  = controlRxAt + controlSize*controlBuffer
	rxAt         = controlTxAt + controlSize*messageBytes
	txAt         = rxAt + RxBuffers*RxBuffer
	layoutEnd    = txAt + TxBuffers*TxBuffer
)

func rxRingAt(port int) int { return portsAt + (port-1)*portBytes }
func txRingAt(port int) int { return rxRingAt(port) + queue.Bytes(rxSize) }
