// Package pkgapi is pkg.capnp with Go types: a client of packagefsd, and the
// half of the service that knows the messages.
package pkgapi

import (
	"strings"
	"syscall"
	"time"

	"capnproto.org/go/capnp/v3"

	"nexus/source/api/pkgcapnp"
	"nexus/source/api/refusal"
	"nexus/source/libs/channel"
)

const (
	// MaxPath bounds a path, in bytes.
	MaxPath = 255
	// MaxRead bounds what one read gives, in bytes.
	MaxRead = 32 << 10
)

// ValidPath reports whether path names a package file: names joined by single
// slashes, none of them empty, "." or "..", no control characters, at most
// MaxPath bytes.
func ValidPath(path string) bool {
	if len(path) > MaxPath {
		return false
	}
	for i := range len(path) {
		if path[i] < ' ' || path[i] == 0x7f || path[i] == '\\' {
			return false
		}
	}
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." || name == ".." {
			return false
		}
	}
	return true
}

// Client asks packagefsd. Each method is one call, bounded by its time-out; a
// refusal is a *refusal.Error. It is safe for concurrent use.
type Client struct{ calls *channel.Client }

// NewClient returns a client on conn, which it takes over.
func NewClient(conn *channel.Conn) *Client { return &Client{channel.NewClient(conn)} }

// Close closes the channel.
func (c *Client) Close() error { return c.calls.Close() }

// Stat returns the size of a package file in bytes.
func (c *Client) Stat(path string, timeout time.Duration) (size uint64, err error) {
	_, size, err = c.call(timeout, func(r pkgcapnp.Request) error { return r.SetStat(path) })
	return size, err
}

// Read returns up to count bytes, at most MaxRead, of a package file from offset
// on, and the size of the whole file. Less than asked means its end.
func (c *Client) Read(path string, offset uint64, count int, timeout time.Duration) (data []byte, size uint64, err error) {
	return c.call(timeout, func(r pkgcapnp.Request) error {
		r.SetRead()
		r.Read().SetOffset(offset)
		r.Read().SetCount(uint32(min(max(count, 0), MaxRead)))
		return r.Read().SetPath(path)
	})
}

func (c *Client) call(timeout time.Duration, fill func(pkgcapnp.Request) error) (data []byte, size uint64, err error) {
	message, segment := channel.NewMessage()
	request, err := pkgcapnp.NewRootRequest(segment)
	if err != nil {
		return nil, 0, err
	}
	if err := fill(request); err != nil {
		return nil, 0, err
	}
	got, err := c.calls.Call(timeout, message)
	if err != nil {
		return nil, 0, err
	}
	defer got.Close()
	reply := pkgcapnp.Reply(got.Root)
	switch reply.Which() {
	case pkgcapnp.Reply_Which_file:
		data, err = reply.File().Data()
		return data, reply.File().Size(), err
	default: // pkgcapnp.Reply_Which_error, or what a newer server says
		text, err := reply.Error().Text()
		if err != nil {
			return nil, 0, err
		}
		return nil, 0, refusal.New(syscall.Errno(reply.Error().Errno()), text)
	}
}

// Files is what packagefsd serves. Its errors are sent as refusals.
type Files interface {
	// Stat returns the size of a file in bytes.
	Stat(path string) (size uint64, err error)
	// ReadAt fills data from offset on and returns how many bytes it was, fewer
	// only at the end of the file, and the file's size.
	ReadAt(path string, data []byte, offset uint64) (n int, size uint64, err error)
}

// Handler answers pkg.capnp from Files. It implements channel.Handler and may be
// used for several channels at once if Files may.
type Handler struct{ Files Files }

// ErrPath is a path that ValidPath refuses.
var ErrPath = refusal.New(syscall.EINVAL, "not a package path: want names joined by single slashes, without . and ..")

var errUnknown = refusal.New(syscall.ENOSYS, "packagefsd knows stat and read")

// Handle implements channel.Handler.
func (h Handler) Handle(call *channel.Call) error {
	request := pkgcapnp.Request(call.Request)
	switch request.Which() {
	case pkgcapnp.Request_Which_stat:
		path, err := request.Stat()
		if err != nil {
			return channel.ErrMalformed
		}
		return h.stat(path, call.Reply)
	case pkgcapnp.Request_Which_read:
		path, err := request.Read().Path()
		if err != nil {
			return channel.ErrMalformed
		}
		return h.read(path, request.Read().Offset(), request.Read().Count(), call.Reply)
	default:
		return errUnknown
	}
}

func (h Handler) stat(path string, segment *capnp.Segment) error {
	if !ValidPath(path) {
		return ErrPath
	}
	size, err := h.Files.Stat(path)
	if err != nil {
		return err
	}
	return file(segment, nil, size)
}

func (h Handler) read(path string, offset uint64, count uint32, segment *capnp.Segment) error {
	if !ValidPath(path) {
		return ErrPath
	}
	data := make([]byte, min(count, MaxRead))
	n, size, err := h.Files.ReadAt(path, data, offset)
	if err != nil {
		return err
	}
	return file(segment, data[:n], size)
}

// file makes the reply file.
func file(segment *capnp.Segment, data []byte, size uint64) error {
	reply, err := pkgcapnp.NewRootReply(segment)
	if err != nil {
		return err
	}
	reply.SetFile()
	reply.File().SetSize(size)
	return reply.File().SetData(data)
}

// Refuse implements channel.Handler.
func (h Handler) Refuse(segment *capnp.Segment, err error) {
	reply, failed := pkgcapnp.NewRootReply(segment)
	if failed != nil {
		return // a fresh segment always has room for a root
	}
	reply.SetError()
	reply.Error().SetErrno(uint16(refusal.ErrnoOf(err)))
	_ = reply.Error().SetText(err.Error()) // without the text the number still says it
}
