package terminal

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Text makes a text of any number of lines harmless: line ends and tabs stay, and
// every other character that has no shape of its own (controls, ESC and \r among
// them, the marks that turn the direction of writing, what is not assigned) is
// replaced by its escape. The escapes are those of JSON, so that a JSON text says
// the same afterwards. A byte that is not valid UTF-8 becomes U+FFFD. The
// result is itself harmless: Text of it changes nothing.
func Text(s string) string {
	first := strings.IndexFunc(s, harmful)
	if first < 0 {
		return strings.ToValidUTF8(s, string(utf8.RuneError))
	}
	var out strings.Builder
	out.WriteString(strings.ToValidUTF8(s[:first], string(utf8.RuneError)))
	for _, r := range s[first:] { // what is not UTF-8 is U+FFFD here
		if harmful(r) {
			out.WriteString(escaped(r))
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}

// Line is [Text] in one line: line ends and tabs are escaped as well.
func Line(s string) string {
	return ends.Replace(Text(s))
}

var ends = strings.NewReplacer("\n", `\n`, "\t", `\t`)

// harmful reports whether a terminal could do with r anything but show it.
func harmful(r rune) bool {
	return !unicode.IsGraphic(r) && r != '\n' && r != '\t'
}

// escaped is r as JSON's strings have it.
func escaped(r rune) string {
	if r == '\r' {
		return `\r`
	}
	if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
		return fmt.Sprintf(`\u%04x\u%04x`, high, low)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// NewWriter returns a writer that passes on the [Text] of what is written. Every
// write must consist of whole characters.
func NewWriter(w io.Writer) io.Writer { return writer{w} }

type writer struct{ w io.Writer }

func (w writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.w, Text(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
