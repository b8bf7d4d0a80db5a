package netcli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"nexus/source/api/fetchapi"
	"nexus/source/libs/svc"
)

// Bounds of fetch, which are fetchd's own.
const (
	maxURL   = 2048     // bytes
	maxBody  = 64 << 20 // bytes
	maxFetch = time.Minute
)

// standardOutput is -o's name for it.
const standardOutput = "-"

// fetchPlan is what fetch was asked for.
type fetchPlan struct {
	ask    fetchapi.Ask
	output string // a file, standardOutput, or "" for text
}

func fetchCommand() Command {
	c := Command{
		Name:      "fetch",
		Arguments: "URL",
		Short:     "Fetch a URL from inside the guest",
		Long: `Have fetchd get http://HOST/PATH or pkg://PACKAGE/FILE from inside the guest. The body is printed as text, without
control characters, and the last line is "nx: net fetch bytes=" and its length. With -o FILE the body's bytes go to the
file, which appears only when all have come; with -o - they go to the standard output and the last line to the standard
error. The exit status is 1 when the http status is 400 or more.`,
		Example: "nx net fetch http://127.0.0.1:8080/hello\nnx net fetch pkg://fixtures/hello.txt -o hello.txt\nnx net fetch http://10.0.2.2:8080/hello -o - | xxd",
	}
	c.Prepare = func(flags *flag.FlagSet) Runner {
		output := &text{name: "FILE"}
		most := &count{value: maxBody, low: 1, high: maxBody}
		timeout := &seconds{value: 30 * time.Second, low: time.Millisecond, high: maxFetch}
		both(flags, output, "o", "output", "write the body's bytes to this file, or - for the standard output")
		flags.Var(most, "max-bytes", "refuse a body longer than this")
		flags.Var(timeout, "timeout", "time for all of it")
		return func(ctx context.Context, env *Env, args []string) error {
			if err := arguments(args, 1, 1, c); err != nil {
				return err
			}
			plan := fetchPlan{fetchapi.Ask{URL: args[0], MaxBytes: uint64(most.value), Timeout: timeout.value}, output.value}
			switch err := checkURL(args[0]); {
			case err != nil:
				return err
			case output.set && output.value == "":
				return Usagef("fetch: -o has no file's name: want FILE, or - for the standard output")
			case env.JSON && output.value == standardOutput:
				return Usagef("fetch: -o - and --json both want the standard output: leave one out")
			}
			return fetch(ctx, env, plan)
		}
	}
	return c
}

// checkURL checks what can be checked without asking.
func checkURL(url string) error {
	rest, isHTTP := strings.CutPrefix(url, "http://")
	name, isPackage := strings.CutPrefix(url, "pkg://")
	host, _, _ := strings.Cut(rest, "/")
	pack, file, _ := strings.Cut(name, "/")
	switch {
	case len(url) > maxURL:
		return Usagef("the URL has %d bytes: at most %d are taken", len(url), maxURL)
	case svc.Printable(url) != url || strings.ContainsRune(url, ' '):
		return Usagef("%q is no URL: blanks and control characters must be written as %%20 and so on", cut(url))
	case strings.HasPrefix(url, "https://"):
		return Usagef("https is not spoken: want http://HOST/PATH or pkg://PACKAGE/FILE")
	case isHTTP && host != "", isPackage && pack != "" && file != "":
		return nil
	}
	return Usagef("%q is no URL that can be fetched: want http://HOST/PATH or pkg://PACKAGE/FILE", cut(url))
}

// fetchDocument is a fetch in JSON. Body is there without -o when it is UTF-8, else BodyBase64.
type fetchDocument struct {
	URL        string  `json:"url"`
	Status     int     `json:"status"` // of http; 200 from a package
	Bytes      int     `json:"bytes"`
	File       string  `json:"file,omitempty"`
	Body       *string `json:"body,omitempty"`
	BodyBase64 []byte  `json:"bodyBase64,omitempty"`
}

func fetch(ctx context.Context, env *Env, plan fetchPlan) error {
	body, err := newBody(env, plan.output)
	if err != nil {
		return err
	}
	defer body.discard()
	doc := fetchDocument{URL: plan.ask.URL}
	conn, err := env.open(ctx, Fetchd)
	if err != nil {
		return err
	}
	client := fetchapi.NewClient(conn)
	defer client.Close()
	defer context.AfterFunc(ctx, func() { client.Close() })()
	doc.Status, err = client.Stream(plan.ask, func(piece []byte) error {
		doc.Bytes += len(piece)
		return body.write(piece)
	})
	if err != nil {
		return env.explain(ctx, Fetchd, err)
	}
	if err := body.finish(); err != nil {
		return err
	}
	return env.fetched(plan, doc, body)
}

// fetched says what came.
func (e *Env) fetched(plan fetchPlan, doc fetchDocument, body *body) error {
	marker := "nx: net fetch bytes=" + strconv.Itoa(doc.Bytes)
	switch {
	case e.JSON:
		doc.File = plan.output
		body.document(&doc)
		if err := e.document(doc); err != nil {
			return err
		}
	case plan.output == standardOutput:
		e.note("%s", marker)
	default:
		e.line("%s", marker)
	}
	if doc.Status < 400 {
		return nil
	}
	if !e.JSON {
		e.note("nx: the server answered with http status %d: is the path right?", doc.Status)
	}
	return found()
}

// body is where a body goes: to a file, raw or as text to the output, or into the document.
type body struct {
	to    io.Writer
	lines *Lines        // as text
	held  *bytes.Buffer // for the document
	file  *os.File      // with -o FILE
	name  string        // of the file when it is done; "" to keep its own
}

// newBody opens what has to be opened, before anything is asked for.
func newBody(env *Env, output string) (*body, error) {
	b := new(body)
	switch {
	case output == standardOutput:
		b.to = outWriter{env}
	case output != "":
		if err := b.create(output); err != nil {
			return nil, &Error{Status: StatusNotRun, Text: "the body cannot be written: " + err.Error() + ": name a file in a folder that can be written to", cause: err}
		}
		b.to = b.file
	case env.JSON:
		b.held = new(bytes.Buffer)
		b.to = b.held
	default:
		b.lines = &Lines{Emit: func(line string) { env.line("%s", readable(line)) }}
		b.to = b.lines
	}
	return b, nil
}

// outWriter is an Env's output as an io.Writer whose failures Run reports.
type outWriter struct{ env *Env }

func (o outWriter) Write(data []byte) (int, error) {
	o.env.write(o.env.Out, string(data))
	return len(data), o.env.unwritten
}

// readable is a line of text without its carriage return and with blanks for tabs.
func readable(line string) string {
	return strings.ReplaceAll(strings.TrimSuffix(line, "\r"), "\t", "    ")
}

// create opens the file that a body goes to: a new one beside it, which takes its name at the end; or the file itself
// where that is a device or a pipe.
func (b *body) create(name string) error {
	info, err := os.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return &fs.PathError{Op: "open", Path: name, Err: errors.New("is a directory")}
	case err == nil && !info.Mode().IsRegular():
		b.file, err = os.OpenFile(name, os.O_WRONLY, 0)
		return err
	}
	b.file, err = os.CreateTemp(filepath.Dir(name), ".nx-fetch-*")
	if err != nil {
		return err
	}
	b.name = name
	return nil
}

func (b *body) write(piece []byte) error {
	if _, err := b.to.Write(piece); err != nil {
		return &Error{Status: StatusNotRun, Text: "the body cannot be written: " + err.Error(), cause: err}
	}
	return nil
}

// finish makes what was written stay.
func (b *body) finish() error {
	if b.lines != nil {
		b.lines.Flush()
	}
	if b.file == nil {
		return nil
	}
	err := b.file.Close()
	if err == nil && b.name != "" {
		err = errors.Join(os.Chmod(b.file.Name(), 0o644), os.Rename(b.file.Name(), b.name))
	}
	if err != nil {
		return &Error{Status: StatusNotRun, Text: "the body cannot be written: " + err.Error(), cause: err}
	}
	b.file = nil
	return nil
}

// discard removes what finish has not made stay.
func (b *body) discard() {
	if b.file == nil {
		return
	}
	b.file.Close()
	if b.name != "" {
		os.Remove(b.file.Name())
	}
}

// document puts a held body into the document.
func (b *body) document(doc *fetchDocument) {
	if b.held == nil {
		return
	}
	if data := b.held.Bytes(); utf8.Valid(data) {
		text := string(data)
		doc.Body = &text
	} else {
		doc.BodyBase64 = data
	}
}
