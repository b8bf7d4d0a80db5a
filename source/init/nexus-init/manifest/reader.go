package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// reader walks JSON token by token. The schema is the code that calls it, so
// depth is bounded by that code and every value's line is known.
type reader struct {
	data []byte
	dec  *json.Decoder
	path []string // of the value being read, for errors
}

func newReader(data []byte) *reader {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return &reader{data: data, dec: dec}
}

// line returns the line of the last token, counted from 1.
func (r *reader) line() int {
	offset := min(r.dec.InputOffset(), int64(len(r.data)))
	return 1 + bytes.Count(r.data[:offset], []byte{'\n'})
}

// errorf returns an error that names line and field.
func (r *reader) errorf(format string, args ...any) error {
	where := ""
	for _, p := range r.path {
		where += p
	}
	if where != "" {
		where = where[1:] + ": " // without the first dot
	}
	return errorAt(r.line(), "%s%s", where, fmt.Sprintf(format, args...))
}

// errorAt returns an error about something of that line.
func errorAt(line int, format string, args ...any) error {
	return fmt.Errorf("%w: line %d: %s", ErrManifest, line, fmt.Sprintf(format, args...))
}

// token returns the next token. Errors of the syntax carry their own offset.
func (r *reader) token() (json.Token, error) {
	token, err := r.dec.Token()
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return token, nil
	case errors.As(err, &syntax):
		offset := min(syntax.Offset, int64(len(r.data)))
		return nil, errorAt(1+bytes.Count(r.data[:offset], []byte{'\n'}), "not JSON: %v", err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, r.errorf("ends in the middle")
	default:
		return nil, r.errorf("%v", err)
	}
}

// object reads an object; each field is read by the function of its name.
func (r *reader) object(fields map[string]func() error) error {
	if err := r.open('{'); err != nil {
		return err
	}
	seen := make(map[string]bool, len(fields))
	for r.dec.More() {
		token, err := r.token()
		if err != nil {
			return err
		}
		key, ok := token.(string)
		if !ok {
			return r.errorf("want the name of a field")
		}
		read := fields[key]
		if read == nil {
			return r.errorf("unknown field %q", key)
		}
		if seen[key] {
			return r.errorf("field %q is there twice", key)
		}
		seen[key] = true
		if err := r.within("."+key, read); err != nil {
			return err
		}
	}
	_, err := r.token()
	return err
}

// array reads an array of at most limit values with item.
func (r *reader) array(limit int, item func() error) error {
	if err := r.open('['); err != nil {
		return err
	}
	for i := 0; r.dec.More(); i++ {
		if i == limit {
			return r.errorf("more than %d", limit)
		}
		if err := r.within("["+strconv.Itoa(i)+"]", item); err != nil {
			return err
		}
	}
	_, err := r.token()
	return err
}

// within reads with read the value whose path continues with step.
func (r *reader) within(step string, read func() error) error {
	r.path = append(r.path, step)
	err := read()
	r.path = r.path[:len(r.path)-1]
	return err
}

// open reads the delimiter that begins an object or array.
func (r *reader) open(delimiter json.Delim) error {
	token, err := r.token()
	if err != nil {
		return err
	}
	if token != delimiter {
		return r.errorf("want %q, got %v", delimiter.String(), token)
	}
	return nil
}

// text reads a string of 1 to limit bytes that good accepts.
func (r *reader) text(into *string, limit int, want string, good func(string) bool) error {
	token, err := r.token()
	if err != nil {
		return err
	}
	text, ok := token.(string)
	if !ok || text == "" || len(text) > limit || !good(text) {
		return r.errorf("want %s, got %.40q", want, fmt.Sprint(token))
	}
	*into = text
	return nil
}

// integer reads a whole number from low to high.
func (r *reader) integer(into *int64, low, high int64) error {
	token, err := r.token()
	if err != nil {
		return err
	}
	number, ok := token.(json.Number)
	value, err := strconv.ParseInt(string(number), 10, 64)
	if !ok || err != nil || value < low || value > high {
		return r.errorf("want a whole number from %d to %d, got %.40q", low, high, fmt.Sprint(token))
	}
	*into = value
	return nil
}

// boolean reads true or false.
func (r *reader) boolean(into *bool) error {
	token, err := r.token()
	if err != nil {
		return err
	}
	value, ok := token.(bool)
	if !ok {
		return r.errorf("want true or false, got %.40q", fmt.Sprint(token))
	}
	*into = value
	return nil
}

// end reports anything that follows the value.
func (r *reader) end() error {
	token, err := r.dec.Token()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return r.errorf("something follows the manifest: %.40q", fmt.Sprint(token))
}
