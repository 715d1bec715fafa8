package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// print writes the result of the main job.
func (p *program) print(result json.RawMessage) error {
	if p.output == "json" {
		var out bytes.Buffer
		if err := json.Indent(&out, result, "", "  "); err != nil {
			return fmt.Errorf("the result is not valid JSON: %w", err)
		}
		out.WriteByte('\n')
		_, err := out.WriteTo(p.stdout)
		return err
	}
	v, err := parseValue(result)
	if err != nil {
		return fmt.Errorf("the result is not valid JSON: %w", err)
	}
	return writeTable(p.stdout, v)
}

// writeTable writes a value for people: an object's plain fields as a list of
// names and values, its lists of objects as tables below.
func writeTable(w io.Writer, v value) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	switch {
	case len(v.fields) > 0:
		writeObject(tab, v)
	case len(v.items) > 0:
		writeList(tab, v)
	default:
		_, _ = fmt.Fprintln(tab, v.flat()) // Flush reports it
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

// writeList writes an item a line, objects in columns under their names.
func writeList(w io.Writer, v value) {
	columns := v.columns()
	if len(columns) > 0 {
		_, _ = fmt.Fprintf(w, "  %s\n", row(columns, label))
	}
	for _, item := range v.items {
		if item.kind == '{' {
			_, _ = fmt.Fprintf(w, "  %s\n", row(columns, item.cell))
			continue
		}
		_, _ = fmt.Fprintf(w, "  %s\n", item.flat())
	}
}

// columns are the names of all fields of a list's objects; one may lack some.
func (v value) columns() []string {
	var names []string
	for _, item := range v.items {
		for _, f := range item.fields {
			if !slices.Contains(names, f.name) {
				names = append(names, f.name)
			}
		}
	}
	return names
}

// cell is one field of an object, in one line.
func (v value) cell(name string) string {
	for _, f := range v.fields {
		if f.name == name {
			return f.value.flat()
		}
	}
	return absent
}

func row(columns []string, cell func(name string) string) string {
	cells := make([]string, len(columns))
	for i, name := range columns {
		cells[i] = cell(name)
	}
	return strings.Join(cells, "\t")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
