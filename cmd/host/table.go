package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// print writes the result of the main job.
func (p *program) print(result json.RawMessage) error {
	if p.output == "json" {
		var out bytes.Buffer
		if err := json.Indent(&out, result, "", "  "); err != nil {
			return fmt.Errorf("the result is no JSON: %w", err)
		}
		out.WriteByte('\n')
		_, err := out.WriteTo(p.stdout)
		return err
	}
	v, err := parseValue(result)
	if err != nil {
		return fmt.Errorf("the result is no JSON: %w", err)
	}
	return writeTable(p.stdout, v)
}

// writeTable writes a value for people: an object's plain fields as a list of
// names and values, its lists of objects as tables below.
func writeTable(w io.Writer, v value) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	switch v.kind {
	case '{':
		writeObject(tab, v)
	case '[':
		writeList(tab, v)
	default:
		_, _ = fmt.Fprintln(tab, v.scalar) // Flush reports it
	}
	return tab.Flush()
}

func writeObject(w io.Writer, v value) {
	for _, f := range v.fields {
		if !f.value.isTable() {
			_, _ = fmt.Fprintf(w, "%s\t%s\n", title(f.name), orNone(f.value.flat()))
		}
	}
	for _, f := range v.fields {
		if f.value.isTable() {
			_, _ = fmt.Fprintf(w, "\n%s\n", title(f.name))
			writeList(w, f.value)
		}
	}
}

// isTable reports whether a value is a list of objects.
func (v value) isTable() bool {
	return v.kind == '[' && len(v.items) > 0 && v.items[0].kind == '{'
}

func writeList(w io.Writer, v value) {
	for i, item := range v.items {
		if i == 0 && item.kind == '{' {
			_, _ = fmt.Fprintf(w, "  %s\n", row(item, func(f field) string { return label(f.name) }))
		}
		if item.kind == '{' {
			_, _ = fmt.Fprintf(w, "  %s\n", row(item, func(f field) string { return f.value.flat() }))
			continue
		}
		_, _ = fmt.Fprintf(w, "  %s\n", item.flat())
	}
}

func row(v value, cell func(field) string) string {
	cells := make([]string, len(v.fields))
	for i, f := range v.fields {
		cells[i] = cell(f)
	}
	return strings.Join(cells, "\t")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
