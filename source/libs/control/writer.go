package control

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Writer writes the frames of one side. It has one buffer of the longest frame's size, and is not safe for concurrent use.
type Writer struct {
	stream io.Writer
	side   Side
	buf    []byte
}

// NewWriter returns a writer of what side sends on stream.
func NewWriter(stream io.Writer, side Side) *Writer {
	return &Writer{stream: stream, side: side, buf: make([]byte, 0, HeaderSize+MaxBody)}
}

// Write writes one frame in one write. Errors: ErrProtocol, wrapped, for a frame that this side must not send, of which
// nothing is written; that of the stream.
func (w *Writer) Write(f Frame) error {
	if err := f.check(w.side, len(f.Body)); err != nil {
		return err
	}
	h := f.header()
	w.buf = append(append(w.buf[:0], h[:]...), f.Body...)
	_, err := w.stream.Write(w.buf)
	return err
}

// Text is the body of REFUSED and CLOSE that says text: one line within MaxText, cut between two characters.
func Text(text string) []byte {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\n", " "), "?")
	if len(text) <= MaxText {
		return []byte(text)
	}
	end := MaxText
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return []byte(text[:end])
}
