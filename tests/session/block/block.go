// Package block reads and writes the parts of a document that show a session on a terminal:
//
//	<!-- NAME:begin: a remark -->
//	```
//	$ command
//	what it printed
//	```
//	<!-- NAME:end -->
//
// and says when two printings are the same but for what differs from run to run.
package block

import (
	"errors"
	"fmt"
	"strings"
)

// ErrBlock: a block is not as it must be.
var ErrBlock = errors.New("session block")

const (
	fence  = "```\n"
	prompt = "$ "
)

// Block is one session.
type Block struct {
	Commands []Command

	start, end int // of the fences' contents in the document
}

// Command is a command with the lines that it printed.
type Command struct {
	Text  string
	Lines []string
}

// Find returns the block of that name; ok is false if the document has none. Error: ErrBlock.
func Find(document, name string) (b Block, ok bool, err error) {
	begin := strings.Index(document, "<!-- "+name+":begin")
	if begin < 0 {
		return Block{}, false, nil
	}
	length := strings.Index(document[begin:], "<!-- "+name+":end -->")
	if length < 0 {
		return Block{}, true, fmt.Errorf("%w %s does not end", ErrBlock, name)
	}
	part := document[begin : begin+length]
	open := strings.Index(part, "\n"+fence)
	shut := strings.LastIndex(part, "\n"+fence)
	if open < 0 || open == shut {
		return Block{}, true, fmt.Errorf("%w %s: want one part between two lines of ```", ErrBlock, name)
	}
	b.start, b.end = begin+open+1+len(fence), begin+shut+1
	if b.Commands, err = commands(document[b.start:b.end]); err != nil {
		return Block{}, true, fmt.Errorf("%w %s: %w", ErrBlock, name, err)
	}
	return b, true, nil
}

func commands(text string) ([]Command, error) {
	var all []Command
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		command, isCommand := strings.CutPrefix(line, prompt)
		switch {
		case isCommand && strings.TrimSpace(command) == "":
			return nil, errors.New("a command is empty")
		case isCommand:
			all = append(all, Command{Text: command})
		case len(all) == 0:
			return nil, fmt.Errorf("output of no command: %q", line)
		default:
			last := &all[len(all)-1]
			last.Lines = append(last.Lines, line)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("it has no command")
	}
	return all, nil
}

// Replace returns the document with other contents of the block that Find gave for it.
func (b Block) Replace(document string, commands []Command) string {
	var text strings.Builder
	for _, c := range commands {
		text.WriteString(prompt + c.Text + "\n")
		for _, line := range c.Lines {
			text.WriteString(line + "\n")
		}
	}
	return document[:b.start] + text.String() + document[b.end:]
}
