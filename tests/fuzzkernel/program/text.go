package program

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The text form, a line each:
//
//	# a comment
//	data 0x2000000000 68656c6c6f
//	list 1 rounds 4
//	s32 = pipe2(0x2000000000, 0x800)
//	s33 = load4(0x2000000000)
//	write(s33, 0x2000000100, 10)
//
// A call that has no name is call NUMBER(…). Trailing arguments that are 0 may be left out.

var codes = map[string]struct {
	code  Code
	width uint16
}{
	"store1": {Store, 1}, "store4": {Store, 4}, "store8": {Store, 8}, "load1": {Load, 1}, "load4": {Load, 4}, "load8": {Load, 8},
	"touch": {Touch, 0}, "sum": {Sum, 0}, "start": {Start, 0}, "vfork": {Vfork, 0}, "tick": {Tick, 0},
	"stream": {Stream, 0}, "send": {Send, 0}, "receive": {Receive, 0}, "await": {Await, 0}, "sleep": {Sleep, 0}, "poll": {Poll, 0}, "finish": {Finish, 0},
}

// Text returns the text form.
func (p *Program) Text() string {
	var b strings.Builder
	for _, s := range p.Data {
		fmt.Fprintf(&b, "data %#x %x\n", s.At, s.Bytes)
	}
	for i, list := range p.Lists {
		if len(list) == 0 {
			continue
		}
		fmt.Fprintf(&b, "list %d", i)
		if p.Rounds[i] > 1 {
			fmt.Fprintf(&b, " rounds %d", p.Rounds[i])
		}
		b.WriteByte('\n')
		for _, o := range list {
			b.WriteString(o.String())
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// String is the line of an operation.
func (o Op) String() string {
	var b strings.Builder
	if o.Slot != NoSlot {
		fmt.Fprintf(&b, "s%d = ", o.Slot)
	}
	b.WriteString(o.name())
	b.WriteByte('(')
	n := len(o.Args)
	for n > 0 && o.Args[n-1] == (Value{}) {
		n--
	}
	for i, a := range o.Args[:n] {
		if i > 0 {
			b.WriteString(", ")
		}
		switch {
		case a.Slot:
			fmt.Fprintf(&b, "s%d", a.Number)
		case a.Number < 1<<12:
			fmt.Fprintf(&b, "%d", a.Number)
		case int64(a.Number) < 0 && int64(a.Number) > -1<<12:
			fmt.Fprintf(&b, "%d", int64(a.Number))
		default:
			fmt.Fprintf(&b, "%#x", a.Number)
		}
	}
	b.WriteByte(')')
	return b.String()
}

func (o *Op) name() string {
	if o.Code == Call {
		if name, ok := Calls[o.Number]; ok {
			return name
		}
		return "call " + strconv.Itoa(int(o.Number))
	}
	for name, c := range codes {
		if c.code == o.Code && c.width == o.Number {
			return name
		}
	}
	return "?"
}

// Parse reads the text form.
func Parse(text string) (*Program, error) {
	p := new(Program)
	list := 0
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		var err error
		switch fields := strings.Fields(line); {
		case line == "" || line[0] == '#':
		case fields[0] == "data":
			err = p.parseData(fields[1:])
		case fields[0] == "list":
			list, err = p.parseList(fields[1:])
		case len(p.Lists[list]) == MaxOps:
			err = fmt.Errorf("more than %d operations", MaxOps)
		default:
			var o Op
			o, err = parseOp(line)
			p.Lists[list] = append(p.Lists[list], o)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return p, lines.Err()
}

func (p *Program) parseData(fields []string) error {
	if len(fields) != 2 {
		return fmt.Errorf("data wants an address and bytes")
	}
	at, err := strconv.ParseUint(fields[0], 0, 64)
	if err != nil {
		return err
	}
	bytes, err := hex.DecodeString(fields[1])
	if err == nil && (at < Data || at+uint64(len(bytes)) > Data+DataSize) {
		err = fmt.Errorf("data lies outside its place")
	}
	p.Data = append(p.Data, Segment{at, bytes})
	return err
}

func (p *Program) parseList(fields []string) (list int, err error) {
	if len(fields) != 1 && (len(fields) != 3 || fields[1] != "rounds") {
		return 0, fmt.Errorf("list wants a number, and rounds")
	}
	if list, err = strconv.Atoi(fields[0]); err != nil || list < 0 || list >= MaxLists {
		return 0, fmt.Errorf("no list %q", fields[0])
	}
	if len(fields) == 3 {
		p.Rounds[list], err = strconv.Atoi(fields[2])
	}
	return list, err
}

func parseOp(line string) (o Op, err error) {
	o.Slot = NoSlot
	if left, right, ok := strings.Cut(line, " = "); ok {
		v, err := parseValue(left)
		if err != nil || !v.Slot {
			return o, fmt.Errorf("%q is no slot", left)
		}
		o.Slot, line = uint8(v.Number), right
	}
	name, rest, ok := strings.Cut(line, "(")
	rest, closed := strings.CutSuffix(rest, ")")
	if !ok || !closed {
		return o, fmt.Errorf("no parentheses in %q", line)
	}
	if c, ok := codes[name]; ok {
		o.Code, o.Number = c.code, c.width
	} else if n, ok := Numbers[name]; ok {
		o.Number = n
	} else if digits, ok := strings.CutPrefix(name, "call "); ok {
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil {
			return o, err
		}
		o.Number = uint16(n)
	} else {
		return o, fmt.Errorf("no call %q", name)
	}
	if rest == "" {
		return o, nil
	}
	args := strings.Split(rest, ",")
	if len(args) > len(o.Args) {
		return o, fmt.Errorf("more than %d arguments", len(o.Args))
	}
	for i, a := range args {
		if o.Args[i], err = parseValue(strings.TrimSpace(a)); err != nil {
			return o, err
		}
	}
	return o, nil
}

func parseValue(s string) (v Value, err error) {
	if digits, ok := strings.CutPrefix(s, "s"); ok {
		n, err := strconv.ParseUint(digits, 10, 8)
		if err != nil || n == NoSlot {
			return v, fmt.Errorf("no slot %q", s)
		}
		return Value{Slot: true, Number: n}, nil
	}
	if strings.HasPrefix(s, "-") {
		n, err := strconv.ParseInt(s, 0, 64)
		return Value{Number: uint64(n)}, err
	}
	v.Number, err = strconv.ParseUint(s, 0, 64)
	return v, err
}

// Used returns the data segments that an argument or a word of another used one points at; the rest is never read but
// by chance.
func (p *Program) Used() []Segment {
	used := make([]bool, len(p.Data))
	var mark func(v uint64)
	mark = func(v uint64) {
		for i, s := range p.Data {
			if used[i] || v < s.At || v >= s.At+uint64(len(s.Bytes)) {
				continue
			}
			used[i] = true
			for j := 0; j+8 <= len(s.Bytes); j += 8 {
				w := uint64(0)
				for k := range 8 {
					w |= uint64(s.Bytes[j+k]) << (8 * k)
				}
				mark(w)
			}
		}
	}
	for _, list := range p.Lists {
		for _, o := range list {
			for _, a := range o.Args {
				if !a.Slot {
					mark(a.Number)
				}
			}
		}
	}
	i := 0
	return slices.DeleteFunc(slices.Clone(p.Data), func(Segment) bool { i++; return !used[i-1] })
}
