package decode

// dumpWidth is how many bytes a line of a dump has.
const dumpWidth = 16

// Dump returns the lines of a hex dump as tcpdump -X makes them, over the whole frame: the offset, eight groups of two bytes,
// and the same bytes as text with a dot for each that has no glyph in ASCII.
func Dump(frame []byte) []string {
	lines := make([]string, 0, (len(frame)+dumpWidth-1)/dumpWidth)
	for at := 0; at < len(frame); at += dumpWidth {
		lines = append(lines, dumpLine(at, frame[at:min(at+dumpWidth, len(frame))]))
	}
	return lines
}

// textColumn is where the text begins: after 8 blanks, the offset, and 8 groups of 4 digits with a blank before each.
const textColumn = 8 + len("0x0000: ") + 8*5 + 2

func dumpLine(offset int, b []byte) string {
	line := make([]byte, 0, textColumn+dumpWidth)
	line = append(line, "        0x"+hex16(uint16(offset))+": "...)
	for i, c := range b {
		if i%2 == 0 {
			line = append(line, ' ')
		}
		line = append(line, digits[c>>4], digits[c&15])
	}
	for len(line) < textColumn {
		line = append(line, ' ')
	}
	for _, c := range b {
		if c < ' ' || c > '~' {
			c = '.'
		}
		line = append(line, c)
	}
	return string(line)
}
