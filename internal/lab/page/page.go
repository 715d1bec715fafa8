// Package page reads pages of Markdown as the tests of docs do: their fenced blocks, and the commands in
// these with what they print.
package page

import (
	"os"
	"regexp"
	"strings"
)

// Block is a fenced block.
type Block struct {
	Language string // the word behind the fence
	Text     string
	Line     int    // of its first line
	File     string // the file that this is, if the line above it ends with its name, as in: `main.go`:
}

// Command is a command line of a block of the language console, and the lines that it prints.
type Command struct {
	Text, Prints string
	Line         int
}

var (
	fence = regexp.MustCompile("^( *)```(.*)$")
	file  = regexp.MustCompile("`([^`]+)`:$")
)

// Blocks reads a page. What is indented, as in a list, has lost the indentation.
func Blocks(name string) ([]Block, error) {
	text, err := os.ReadFile(name) //nolint:gosec // it is a page of this module
	if err != nil {
		return nil, err
	}
	var (
		all   []Block
		above string // the last line that is not empty
		open  *Block
		shift string
	)
	for i, line := range strings.Split(string(text), "\n") {
		at := fence.FindStringSubmatch(line)
		switch {
		case open != nil && at != nil && at[2] == "":
			all = append(all, *open)
			open, above = nil, ""
		case open != nil:
			open.Text += strings.TrimPrefix(line, shift) + "\n"
		case at != nil:
			open, shift = &Block{Language: at[2], Line: i + 2}, at[1]
			if name := file.FindStringSubmatch(above); name != nil {
				open.File = name[1]
			}
		case strings.TrimSpace(line) != "":
			above = line
		}
	}
	return all, nil
}

// Commands has the commands of a block of the language console: what follows "$ ", and "> " on the next
// lines, and then the lines that the command prints.
func (b Block) Commands() (all []Command) {
	line := b.Line - 1
	for text := range strings.Lines(b.Text) {
		line++
		if command, is := strings.CutPrefix(text, "$ "); is {
			all = append(all, Command{Text: command, Line: line})
			continue
		}
		if len(all) == 0 {
			continue
		}
		last := &all[len(all)-1]
		if more, is := strings.CutPrefix(text, "> "); is && last.Prints == "" {
			last.Text += more
			continue
		}
		last.Prints += text
	}
	return all
}

// spaces are as many as a column needs.
var spaces = regexp.MustCompile(` +`)

// Matches reports whether a command has printed what its page shows. "…" stands for any text, and for any
// lines if it is all that stands on a line. How wide columns are does not count.
func (c Command) Matches(printed string) bool {
	var b strings.Builder
	b.WriteString("^")
	for line := range strings.Lines(c.Prints) {
		if strings.TrimSpace(line) == "…" {
			b.WriteString(`(?:.*\n)*`)
			continue
		}
		b.WriteString(spaces.ReplaceAllString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*"), " +"))
	}
	b.WriteString("$")
	return regexp.MustCompile(b.String()).MatchString(printed)
}
