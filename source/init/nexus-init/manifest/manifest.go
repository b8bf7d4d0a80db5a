// Package manifest reads the system on one page: which services there are, what
// each of them may touch, how it says that it is ready and how long it may take.
//
// A manifest is JSON, read strictly: an unknown field, a name used twice or a
// channel with one end is an error that names the line, because a right that is
// granted by mistake is a hole and one that is missing is a boot that hangs.
//
// The fields at the top:
//
//	net       how virt0 gets its address: stub (unless stated), dhcp or static
//	address   of static, with its prefix length
//	gateway   of static
//	stay      true: serve on after the last service is ready
//	services  in the order of their start
//
// Of a service:
//
//	name         [a-z0-9-]+, as the console names it
//	program      absolute path in the boot archive
//	arguments    after the program's name
//	environment  "NAME=VALUE"; LISTEN_ and NEXUS_ are nexus-init's own
//	settings     "net": it is told NEXUS_NET, and NEXUS_ADDR and NEXUS_GW if static
//	namespace    the socket namespace it runs in; without it, it has no sockets of IP
//	ready        notify: it says so; exit: it ends with status 0
//	timeoutMs    until then
//	descriptors  its rights, from descriptor 3 on; notify is added behind them
//
// Of a descriptor its name, and exactly one of:
//
//	window   register window of a device-tree node
//	irq      interrupt of a device-tree node
//	dma      so many bytes of DMA memory, a multiple of 4096
//	serve    serving end of a channel
//	connect  other end of a channel
//	sockets  serving end of a socket namespace
//
// Each of these but dma has one holder. Whoever serves starts before whoever
// uses it.
package manifest

import (
	"errors"
	"time"

	"nexus/source/init/nexus-init/netmode"
)

// Bounds of a manifest.
const (
	MaxSize        = 64 << 10 // bytes of JSON
	MaxServices    = 32
	MaxDescriptors = 32               // of one service
	MaxTimeout     = 10 * time.Minute // until a service is ready
	MaxMemory      = int64(16) << 20  // bytes of one piece of DMA memory
	PageSize       = int64(4096)      // what memory is a multiple of
	maxName        = 32               // bytes of a name
	maxText        = 256              // bytes of a path, argument or value
	maxList        = 32               // arguments, settings, variables
)

// ErrManifest is what every refused manifest wraps.
var ErrManifest = errors.New("manifest")

// Manifest is the whole system. Services are in the order of their start.
type Manifest struct {
	Net      netmode.Setting // unless the command line says another
	Stay     bool            // serve on after the last service is ready
	Services []Service
}

// Readiness is how a service shows that the next one may start.
type Readiness int

const (
	Notified Readiness = iota // it writes READY=1 to its notify descriptor
	Exited                    // it ends with status 0: a one-shot
)

// Service is one program with its rights.
type Service struct {
	Name        string
	Program     string // absolute path
	Arguments   []string
	Environment []Variable
	Settings    []string // which of the boot's settings it is told: net
	Namespace   string   // the socket namespace it runs in; "" is none
	Ready       Readiness
	Timeout     time.Duration // until it is ready
	Descriptors []Descriptor  // its rights, in order from descriptor 3

	line int
}

// Variable is one variable of a service's environment.
type Variable struct{ Name, Value string }

// Kind is what a descriptor gives.
type Kind int

const (
	Window  Kind = iota // register window of device-tree node Object
	IRQ                 // interrupt of device-tree node Object
	DMA                 // Size bytes of DMA memory
	Serve               // serving end of channel Object
	Connect             // client's end of channel Object
	Sockets             // serving end of socket namespace Object
)

// kinds names the kinds as the fields of a descriptor do.
var kinds = [...]string{Window: "window", IRQ: "irq", DMA: "dma", Serve: "serve", Connect: "connect", Sockets: "sockets"}

// String returns the field that chooses k.
func (k Kind) String() string { return kinds[k] }

// Descriptor is one right: what a service finds under Name.
type Descriptor struct {
	Name   string
	Kind   Kind
	Object string // node, channel or namespace
	Size   int64  // bytes, of DMA

	line int
}
