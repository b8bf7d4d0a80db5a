// Package report writes what is known of one boot as a single HTML page that
// asks for nothing else: no script, style, font or picture from elsewhere.
//
// What the guest and the wire said is hostile: html/template escapes it, text
// that would not show as itself is shown escaped, and the page's own policy
// lets no other script than the page's run. The same input gives the same bytes.
package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"time"

	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/capture"
)

// Input is what a page is made of. Only Boot is needed.
type Input struct {
	Boot   *boot.Report
	Frames []Frame // those the boot was judged by, in that order
}

// Frame is one frame as it crossed the wire.
type Frame struct {
	At  time.Duration // since the exec of QEMU
	Raw []byte
}

// ErrNoBoot says that there is nothing to report on.
var ErrNoBoot = errors.New("report: no boot to report on")

// Captured makes Frames of a capture.
func Captured(frames []capture.Frame) []Frame {
	made := make([]Frame, len(frames))
	for i, f := range frames {
		made[i] = Frame{At: f.At, Raw: f.Raw}
	}
	return made
}

//go:embed page.html
var source string

//go:embed page.css
var style string

//go:embed page.js
var script string

var pages = template.Must(template.New("page").Parse(source))

// policy forbids the page all but its own style and script.
var policy = fmt.Sprintf("default-src 'none'; img-src data:; style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'",
	digest(style), digest(script))

// digest is a source expression of a content security policy.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// Write writes the page.
func Write(w io.Writer, in Input) error {
	if in.Boot == nil {
		return ErrNoBoot
	}
	if err := pages.Execute(w, newPage(in)); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
