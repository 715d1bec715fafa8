package command

import (
	"bytes"
	"strings"
	"testing"
)

func TestGrouped(t *testing.T) {
	for number, want := range map[string]string{
		"0": "0", "999": "999", "1000": "1,000", "123456": "123,456", "1234567": "1,234,567",
		"-1": "-1", "-999": "-999", "-1000": "-1,000", "-123456": "-123,456",
		"1234.5": "1234.5", "-12345.678": "-12345.678", "1e9": "1e9", "1E400": "1E400",
		"123456789012345678901234567890": "123,456,789,012,345,678,901,234,567,890",
	} {
		if got := grouped(number); got != want {
			t.Errorf("%s is grouped as %s, want %s", number, got, want)
		}
	}
}

func TestFlat(t *testing.T) {
	for text, want := range map[string]string{
		`"plain"`:                         "plain",
		`"naïve → ☃"`:                     "naïve → ☃",
		`"two\nlines"`:                    `"two\nlines"`,
		`"a\tb"`:                          `"a\tb"`,
		`"\u001b[2J"`:                     `"\x1b[2J"`,
		`""`:                              "",
		`true`:                            "true",
		`null`:                            "-",
		`12345`:                           "12,345",
		`[]`:                              "none",
		`{}`:                              "none",
		`[1,2,"x"]`:                       "1; 2; x",
		`[[1,2],[]]`:                      "1; 2; none",
		`{"b_c":1,"a":[],"z":{"y":null}}`: "b c 1, a none, z y -",
	} {
		v, err := parseValue([]byte(text))
		if got := v.flat(); err != nil || got != want {
			t.Errorf("%s is written as %q (%v), want %q", text, got, err, want)
		}
	}
}

func TestTitle(t *testing.T) {
	for name, want := range map[string]string{"": "", "a": "A", "files_seen": "Files seen", "élan": "Élan", "URL": "URL"} {
		if got := title(name); got != want {
			t.Errorf("title of %q is %q, want %q", name, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	for _, test := range []struct{ name, json, want string }{
		{"a scalar", `12345`, "12,345\n"},
		{"null", `null`, "-\n"},
		{"nothing", `{}`, "none\n"},
		{"an empty list", `[]`, "none\n"},
		{"a list", `[1,"b",[2,3]]`, "  1\n  b\n  2; 3\n"},
		{"fields in their order", `{"zebra":1,"apple_pie":"x","none_of_it":[],"text":""}`, `
Zebra       1
Apple pie   x
None of it  none
Text        none
`},
		{"nested objects in one line", `{"longest":{"name":"f","lines":1000},"tags":["a","b"]}`, `
Longest  name f, lines 1,000
Tags     a; b
`},
		{"tables come last", `{"rows":[{"a_b":1,"c":"x"},{"a_b":1000,"c":"long"}],"sum":2}`, `
Sum  2

Rows
  a b    c
  1      x
  1,000  long
`},
		{"objects that lack fields", `[{"a":1},{"b":2,"a":3},{"c":null}]`, `
  a  b  c
  1  -  -
  3  2  -
  -  -  -
`},
		{"a table with something else in it", `[{"a":1},7]`, `
  a
  1
  7
`},
		{"texts that would break the table", `[{"a":"x\ty\nz","b":1}]`, `
  a          b
  "x\ty\nz"  1
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			p := program{stdout: &out, output: "table"}
			if err := p.print([]byte(test.json)); err != nil {
				t.Fatal(err)
			}
			if got, want := trimmed(out.String()), strings.TrimPrefix(test.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// trimmed drops spaces at the ends of lines.
func trimmed(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

func TestPrintJSON(t *testing.T) {
	var out bytes.Buffer
	p := program{stdout: &out, output: "json"}
	if err := p.print([]byte(`{"z":1,"a":[1.50,"<&>"],"e":[]}`)); err != nil {
		t.Fatal(err)
	}
	if want := "{\n  \"z\": 1,\n  \"a\": [\n    1.50,\n    \"<&>\"\n  ],\n  \"e\": []\n}\n"; out.String() != want {
		t.Errorf("got %s, want %s", out.String(), want)
	}
}

func TestPrintRefusesWhatIsNoJSON(t *testing.T) {
	for _, text := range []string{"", "{", `{"a"`, `{"a":`, `{"a":1`, "[1,", "nonsense"} {
		for _, output := range []string{"json", "table"} {
			var out bytes.Buffer
			p := program{stdout: &out, output: output}
			if err := p.print([]byte(text)); err == nil || !strings.Contains(err.Error(), "the result is not valid JSON") || out.Len() > 0 {
				t.Errorf("%q as %s: error %v, printed %q", text, output, err, out.String())
			}
		}
	}
}
