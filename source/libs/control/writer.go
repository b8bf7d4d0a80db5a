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

// Write writes one frame in one write. Errors: ErrProtocol, wrapped, for a frame that this side must not send; that of the
// stream. whole is false with an error that left a part of the frame written: nothing that follows could be understood.
func (w *Writer) Write(f Frame) (whole bool, err error) {
	if err := f.check(w.side, len(f.Body)); err != nil {
		return true, err
	}
	h := f.header()
	w.buf = append(append(w.buf[:0], h[:]...), f.Body...)
	n, err := w.stream.Write(w.buf)
	return err == nil || n == 0, err
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
