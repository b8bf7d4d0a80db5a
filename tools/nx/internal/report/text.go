package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// text is a string as the page shows it.
type text []piece

// piece is a part of a text. What is Escaped stands for characters that would
// not show as themselves: controls, invisible ones, those that reorder a line.
type piece struct {
	Text    string
	Escaped bool
}

// plain tells whether r shows as itself.
func plain(r rune) bool { return r == '\t' || r == ' ' || unicode.IsPrint(r) }

// shown makes a text of s.
func shown(s string) text {
	var t text
	add := func(part string, escaped bool) {
		if n := len(t); n > 0 && t[n-1].Escaped == escaped {
			t[n-1].Text += part
			return
		}
		t = append(t, piece{part, escaped})
	}
	for len(s) > 0 {
		end := 0
		for end < len(s) {
			r, size := utf8.DecodeRuneInString(s[end:])
			if r == utf8.RuneError && size == 1 || !plain(r) {
				break
			}
			end += size
		}
		if end > 0 {
			add(s[:end], false)
			s = s[end:]
			continue
		}
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			add(fmt.Sprintf(`\x%02x`, s[0]), true)
		} else {
			add(strings.Trim(strconv.QuoteToASCII(string(r)), `"`), true)
		}
		s = s[size:]
	}
	return t
}

// lines is a text of several lines.
func lines(s string) text {
	var t text
	for i, part := range strings.Split(strings.TrimRight(s, "\n"), "\n") {
		if i > 0 {
			t = append(t, piece{Text: "\n"})
		}
		t = append(t, shown(part)...)
	}
	return t
}

// line is a text as one string, for where there is no room for marks.
func line(s string) string {
	var b strings.Builder
	for _, p := range shown(s) {
		b.WriteString(p.Text)
	}
	return b.String()
}

// cut shortens s to at most n bytes, at a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// seconds is a time as on the terminal.
func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// span is how long something took, in a unit that suits.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "–"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond)/time.Millisecond)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// kibibytes is an amount of memory in a unit that suits.
func kibibytes(n int) string {
	if n < 10*1024 {
		return strconv.Itoa(n) + " KiB"
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/1024)
}

// octets is a number of bytes in a unit that suits.
func octets(n int) string {
	if n < 10*1024 {
		return count(n, "byte", "bytes")
	}
	return kibibytes(n / 1024)
}

// count is n things.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// hexdump shows bytes as offset, hexadecimal and ASCII, sixteen a line.
func hexdump(raw []byte) string {
	var b strings.Builder
	for at := 0; at < len(raw); at += 16 {
		row := raw[at:min(at+16, len(raw))]
		fmt.Fprintf(&b, "%04x ", at)
		for i := range 16 {
			if i == 8 {
				b.WriteByte(' ')
			}
			if i < len(row) {
				fmt.Fprintf(&b, " %02x", row[i])
			} else {
				b.WriteString("   ")
			}
		}
		b.WriteString("  ")
		for _, c := range row {
			if c < ' ' || c > '~' {
				c = '.'
			}
			b.WriteByte(c)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
