package netcli

import (
	"context"
	"errors"
	"io"
	"strings"
)

// Bounds of a frame that sendraw takes, in bytes without the FCS.
const (
	MinFrame = 14 // an Ethernet header
	MaxFrame = 1514
)

// maxHex bounds the text of a frame: three characters a byte, and as many again for line ends and indentation.
const maxHex = 16 << 10

// ParseHex reads bytes written as pairs of hexadecimal digits. Blanks, colons and line ends may stand between bytes.
func ParseHex(text string) ([]byte, error) {
	if len(text) > maxHex {
		return nil, Usagef("the frame's text is longer than %d bytes: a frame has at most %d", maxHex, MaxFrame)
	}
	var frame []byte
	for i := 0; i < len(text); {
		if strings.IndexByte(" :\t\r\n", text[i]) >= 0 {
			i++
			continue
		}
		high, ok := digit(text[i])
		if !ok {
			return nil, notHex(text, i, len(frame))
		}
		if i+1 == len(text) {
			return nil, oneDigit(len(frame))
		}
		low, ok := digit(text[i+1])
		switch {
		case !ok && strings.IndexByte(" :\t\r\n", text[i+1]) >= 0:
			return nil, oneDigit(len(frame))
		case !ok:
			return nil, notHex(text, i+1, len(frame))
		}
		frame = append(frame, high<<4|low)
		i += 2
	}
	return frame, nil
}

func digit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

func notHex(text string, at, frame int) error {
	r := []rune(text[at:min(at+4, len(text))])[0]
	return Usagef("byte %d of the frame: %q is no hexadecimal digit: want pairs of 0-9 and a-f, with blanks, colons or line ends between", frame, r)
}

func oneDigit(frame int) error {
	return Usagef("byte %d of the frame has one digit: want two, as 0a", frame)
}

// CheckFrame says why a frame cannot be sent.
func CheckFrame(frame []byte) error {
	switch n := len(frame); {
	case n < MinFrame:
		return Usagef("the frame has %d bytes: an Ethernet header alone has %d (destination, source, type)", n, MinFrame)
	case n > MaxFrame:
		return Usagef("the frame has %d bytes: the link takes at most %d, without the FCS", n, MaxFrame)
	}
	return nil
}

// readText reads a frame's text from the standard input.
func readText(ctx context.Context, in io.Reader) (string, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := io.ReadAll(io.LimitReader(in, maxHex+1))
		done <- result{data, err}
	}()
	select {
	case got := <-done:
		if got.err != nil {
			return "", &Error{Status: StatusNotRun, Text: "the standard input cannot be read: " + got.err.Error(), cause: got.err}
		}
		return string(got.data), nil
	case <-ctx.Done(): // the reader cannot be called back; nx ends now
		return "", errInterrupted
	}
}

var errNoFrame = errors.New("a frame is missing: give --hex \"…\", or --hex - to read it from the standard input")
