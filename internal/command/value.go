package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// absent stands for null and for a field that an object lacks.
const absent = "-"

// value is a JSON value that keeps the order of its fields.
type value struct {
	scalar string  // of a scalar, as people read it
	fields []field // of an object
	items  []value // of a list
	kind   json.Delim
}

type field struct {
	name  string
	value value
}

func parseValue(raw []byte) (value, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return readValue(d)
}

func readValue(d *json.Decoder) (value, error) {
	token, err := d.Token()
	if err != nil {
		return value{}, err
	}
	switch t := token.(type) {
	case json.Delim:
		return readCompound(d, t)
	case json.Number:
		return value{scalar: grouped(t.String())}, nil
	case nil:
		return value{scalar: absent}, nil
	}
	return value{scalar: printable(fmt.Sprint(token))}, nil
}

func readCompound(d *json.Decoder, open json.Delim) (v value, err error) {
	v.kind = open
	for d.More() {
		var name string
		if open == '{' {
			token, err := d.Token()
			if err != nil {
				return v, err
			}
			name = printable(fmt.Sprint(token))
		}
		item, err := readValue(d)
		if err != nil {
			return v, err
		}
		if open == '{' {
			v.fields = append(v.fields, field{name, item})
		} else {
			v.items = append(v.items, item)
		}
	}
	_, err = d.Token() // the closing one
	return v, err
}

// grouped writes a whole number with a comma after each three digits.
func grouped(number string) string {
	digits := strings.TrimPrefix(number, "-")
	if len(digits) <= 3 || strings.ContainsAny(digits, ".eE") {
		return number
	}
	var out strings.Builder
	out.WriteString(number[:len(number)-len(digits)])
	for i, r := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out.WriteByte(',')
		}
		out.WriteRune(r)
	}
	return out.String()
}

// printable quotes a text that would break a line or a table, or tell a terminal
// what to do.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// flat writes a value in one line.
func (v value) flat() string {
	if v.kind != 0 && len(v.fields)+len(v.items) == 0 {
		return "none"
	}
	switch v.kind {
	case '{':
		parts := make([]string, len(v.fields))
		for i, f := range v.fields {
			parts[i] = label(f.name) + " " + f.value.flat()
		}
		return strings.Join(parts, ", ")
	case '[':
		parts := make([]string, len(v.items))
		for i, item := range v.items {
			parts[i] = item.flat()
		}
		return strings.Join(parts, "; ")
	}
	return v.scalar
}

// label makes a field's name readable: files_seen is "files seen".
func label(name string) string { return strings.ReplaceAll(name, "_", " ") }

// title is a label that begins a line.
func title(name string) string {
	text := label(name)
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return text
	}
	return string(unicode.ToUpper(first)) + text[size:]
}
