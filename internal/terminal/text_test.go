package terminal

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/quick"
	"unicode"
)

func TestO04_TextCannotSteerATerminal(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		"plain ünïcode, 日本語　と空白":     "plain ünïcode, 日本語　と空白",
		"two\nlines\tand a tab":      "two\nlines\tand a tab",
		"\x1b[2Jcleared":             `\u001b[2Jcleared`,
		"\x1b]0;title\a":             `\u001b]0;title\u0007`,
		"\u009b2J":                   `\u009b2J`, // CSI in one character
		"all is lost\rall is well":   `all is lost\rall is well`,
		"a\x7fb\x00c\vd\x08e":        `a\u007fb\u0000c\u000bd\u0008e`,
		"user\u202egpj.exe\u2066x":   `user\u202egpj.exe\u2066x`,
		"a\u2028b\u2029c\u0085d":     `a\u2028b\u2029c\u0085d`,
		"invisible\u200b\ufeff":      `invisible\u200b\ufeff`,
		"beyond \U000e0041 16 bits":  `beyond \udb40\udc41 16 bits`,
		"not\xffvalid\xc3":           "not\ufffdvalid\ufffd",
		"not\xff valid, and \x1b[0m": "not\ufffd valid, and " + `\u001b[0m`,
	} {
		if got := Text(in); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Line("a\nb\tc\x1b"); got != `a\nb\tc\u001b` {
		t.Errorf("Line = %q", got)
	}
}

func TestO04_NothingHarmfulIsLeft(t *testing.T) {
	check := func(raw []byte) bool {
		text := Text(string(raw))
		return !strings.ContainsFunc(text, harmful) && Text(text) == text &&
			!strings.ContainsFunc(Line(string(raw)), func(r rune) bool { return !unicode.IsGraphic(r) })
	}
	if err := quick.Check(check, nil); err != nil {
		t.Error(err)
	}
}

func TestTextOfJSONSaysTheSame(t *testing.T) {
	check := func(value string) bool {
		raw, err := json.Marshal(value)
		if err != nil {
			return false
		}
		var before, after string
		return json.Unmarshal(raw, &before) == nil && json.Unmarshal([]byte(Text(string(raw))), &after) == nil && before == after
	}
	if err := quick.Check(check, nil); err != nil {
		t.Error(err)
	}
	if !check("a\x7fb\u202e\u009b\U000e0041") {
		t.Error("a hostile text changed")
	}
}

func TestWriterPassesOnHarmlessText(t *testing.T) {
	var out bytes.Buffer
	n, err := NewWriter(&out).Write([]byte("a\x1bb\n"))
	if n != 4 || err != nil || out.String() != `a\u001bb`+"\n" {
		t.Errorf("wrote %q, %d, %v", out.String(), n, err)
	}
	if n, err := NewWriter(broken{}).Write([]byte("x")); n != 0 || !errors.Is(err, errGone) {
		t.Errorf("a loss is reported as %d, %v", n, err)
	}
}

var errGone = errors.New("gone")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errGone }
