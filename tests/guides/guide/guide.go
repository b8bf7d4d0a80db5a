// Package guide reads a worked example, docs/guides/*.md, into the steps that a reader takes.
//
// A guide is Markdown whose fenced blocks are the steps, in order. There are three kinds, told by the words behind the fence:
//
//	```LANGUAGE file=PATH    make the file PATH, which is not there yet, of the block's text
//	```diff                  apply the block with git apply
//	```console               run each line that begins with "$ "; the lines behind it are what it prints
//
// In what a command prints, "…" within a line stands for any text, and a line of "…" alone for any number of lines. A command
// whose last character is "\" goes on in the next line. There is no other kind of block: what a guide shows is tested.
package guide

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// ErrGuide: the text is no guide.
var ErrGuide = errors.New("guide")

// Kind is what a step asks for.
type Kind int

// Kinds of steps.
const (
	File  Kind = iota // make Path with Text
	Patch             // apply Text
	Run               // run Text; it prints Want
)

// Step is one thing to do.
type Step struct {
	Kind Kind
	Line int    // of the guide, from 1: the fence, or the command
	Path string // File: from the repository's top
	Text string
	Want []string // Run: lines, which may have …
}

const (
	fence  = "```"
	prompt = "$ "
)

// block is one fenced block.
type block struct {
	line  int
	words string // behind the fence
	lines []string
}

// Parse returns the steps of a guide, at least one. Error: ErrGuide, with the line.
func Parse(text string) ([]Step, error) {
	all, err := blocks(text)
	if err != nil {
		return nil, err
	}
	var steps []Step
	for _, b := range all {
		more, err := b.steps()
		if err != nil {
			return nil, err
		}
		steps = append(steps, more...)
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("%w: there is nothing to do in it", ErrGuide)
	}
	return steps, nil
}

// blocks finds the fenced blocks.
func blocks(text string) ([]block, error) {
	var found []block
	open := false
	for i, line := range strings.Split(text, "\n") {
		words, isFence := strings.CutPrefix(line, fence)
		switch {
		case isFence && !open:
			found, open = append(found, block{line: i + 1, words: words}), true
		case isFence && words == "":
			open = false
		case open:
			last := &found[len(found)-1]
			last.lines = append(last.lines, line)
		}
	}
	if open {
		return nil, wrong(found[len(found)-1].line, "the block does not end")
	}
	return found, nil
}

// steps are those of one block.
func (b block) steps() ([]Step, error) {
	text := strings.Join(b.lines, "\n") + "\n"
	language, file, isFile := strings.Cut(b.words, " file=")
	switch {
	case len(b.lines) == 0:
		return nil, wrong(b.line, "the block is empty")
	case isFile && language != "" && filepath.IsLocal(file) && filepath.Clean(file) == file:
		return []Step{{Kind: File, Line: b.line, Path: file, Text: text}}, nil
	case isFile:
		return nil, wrong(b.line, "%q: want a language and a path below the repository's top", b.words)
	case b.words == "diff":
		return []Step{{Kind: Patch, Line: b.line, Text: text}}, nil
	case b.words == "console":
		return b.commands()
	}
	return nil, wrong(b.line, "%q is no kind of block: a guide has LANGUAGE file=PATH, diff and console", b.words)
}

// commands are the steps of a console block.
func (b block) commands() ([]Step, error) {
	var steps []Step
	continued := false
	for i, line := range b.lines {
		command, isCommand := strings.CutPrefix(line, prompt)
		switch {
		case continued:
			last := &steps[len(steps)-1]
			last.Text += "\n" + line
			continued = strings.HasSuffix(line, `\`)
		case isCommand:
			steps = append(steps, Step{Kind: Run, Line: b.line + 1 + i, Text: command})
			continued = strings.HasSuffix(command, `\`)
		case len(steps) == 0:
			return nil, wrong(b.line+1+i, "output of no command: %q", line)
		default:
			last := &steps[len(steps)-1]
			last.Want = append(last.Want, line)
		}
	}
	if continued {
		return nil, wrong(b.line+len(b.lines), "the command does not end")
	}
	return steps, nil
}

func wrong(line int, format string, args ...any) error {
	return fmt.Errorf("%w: line %d: %s", ErrGuide, line, fmt.Sprintf(format, args...))
}
