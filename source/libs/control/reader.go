package control

import (
	"errors"
	"io"
)

// maxIdle bounds how often a stream may give neither bytes nor an error in a row.
const maxIdle = 100

// Reader reads the frames that one side sends. It has one buffer of the longest frame's size.
type Reader struct {
	stream     io.Reader
	from       Side
	buf        []byte
	start, end int // of what was read and not yet used
	used       int // length of the frame that was given last
	lost       bool
}

// NewReader returns a reader of what from sends on stream.
func NewReader(stream io.Reader, from Side) *Reader {
	return &Reader{stream: stream, from: from, buf: make([]byte, HeaderSize+MaxBody)}
}

// Next returns the next frame. Its body is valid until the next call. Errors: ErrProtocol, wrapped, once, after which
// Next discards what comes; that of the stream, with io.ErrUnexpectedEOF for an io.EOF within a frame. With an error of
// the stream the reader begins anew: what a stream that goes on gives then is the beginning of a frame.
func (r *Reader) Next() (Frame, error) {
	r.start += r.used
	r.used = 0
	for {
		f, whole, err := r.buffered()
		if err != nil {
			r.lost = true
			return Frame{}, err
		}
		if whole {
			return f, nil
		}
		if err := r.fill(); err != nil {
			return Frame{}, r.ended(err)
		}
	}
}

// buffered takes a frame from the buffer, if there is a whole one.
func (r *Reader) buffered() (f Frame, whole bool, err error) {
	if r.lost {
		r.start = r.end
	}
	have := r.buf[r.start:r.end]
	if len(have) < HeaderSize {
		return f, false, nil
	}
	f, length, err := parse(have, r.from)
	if err != nil || len(have)-HeaderSize < length {
		return Frame{}, false, err
	}
	r.used = HeaderSize + length
	f.Body = have[HeaderSize:r.used:r.used]
	return f, true, nil
}

// fill reads more of the stream behind what is in the buffer, which is less than one frame.
func (r *Reader) fill() error {
	if r.start > 0 {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	for range maxIdle {
		n, err := r.stream.Read(r.buf[r.end:])
		if n > 0 {
			r.end += n
			return nil // an error comes again
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// ended begins anew after an error of the stream.
func (r *Reader) ended(err error) error {
	if errors.Is(err, io.EOF) && r.end > r.start && !r.lost {
		err = io.ErrUnexpectedEOF
	}
	r.start, r.end, r.lost = 0, 0, false
	return err
}
