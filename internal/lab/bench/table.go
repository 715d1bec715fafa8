package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// head is the table's first line.
var head = []string{"what", "Trellis", "spread", "go-plugin gRPC", "net/rpc", "gRPC", "ttrpc", "raw socket", "ratio", "to reach", "", "later"}

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(out, strings.Join(head, "\t")) // Flush reports it
	for _, row := range r.Rows {
		_, _ = fmt.Fprintln(out, strings.Join(row.cells(), "\t"))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return r.writeNotes(w)
}

// WriteMarkdown writes the report for a page.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(head)
	line([]string{"---", "--:", "--:", "--:", "--:", "--:", "--:", "--:", "--:", "--:", "---", "--:"})
	for _, row := range r.Rows {
		line(row.cells())
	}
	b.WriteByte('\n')
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	return r.writeNotes(w)
}

func (r *Report) writeNotes(w io.Writer) error {
	var b strings.Builder
	if r.Quick {
		b.WriteString("Measured with --quick: it runs; the numbers mean nothing.\n")
	}
	fmt.Fprintf(&b, "%d rounds in %.0f s, %d CPUs, %s, %s; other programs used %.0f %% of the processors meanwhile.\n"+
		"Medians of the rounds; (p99) of single operations; ratio to go-plugin gRPC, round by round, with quartiles; spread is the distance of the\n"+
		"quartiles. gRPC and ttrpc are without TLS and go-plugin. One more hop is compared with none, spans that are kept with none, another\n"+
		"machine (this one, over TCP and TLS) with gRPC over the same or with a child, and the census with the same count in one process.\n",
		r.Rounds, r.Seconds, r.CPUs, r.System, r.Go, 100*r.Others)
	if r.Carried {
		b.WriteString("Every plugin was the measuring program itself, which takes longer to start than a program of its own. In a clone they are built.\n")
	}
	for _, s := range r.Skipped {
		b.WriteString("Left out: " + s + ".\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Row) cells() []string {
	baseline := r.cell(Plain)
	if r.Against != Plain {
		baseline = r.cell(r.Against)
	}
	ratio := "–"
	if r.Ratio.Median != 0 {
		ratio = fmt.Sprintf("%.2f× (%.2f–%.2f)", r.Ratio.Median, r.Ratio.Low, r.Ratio.High)
	}
	var reach, verdict, later []string
	for _, g := range r.Goals {
		reach = append(reach, g.text(r, g.Reach))
		if text := g.text(r, g.Later); text != "" {
			later = append(later, text)
		}
		verdict = append(verdict, mark(g.met(r, g.Reach)))
	}
	return []string{
		r.Name, r.cell(Trellis), fmt.Sprintf("%.0f %%", 100*r.Result(Trellis).Spread), baseline, r.cell(NetRPC),
		r.cell(Bare), r.cell(TTRPC), r.cell(Socket), ratio, strings.Join(reach, ", "), strings.Join(verdict, " "), strings.Join(later, ", "),
	}
}

func mark(met bool) string {
	if met {
		return "✓"
	}
	return "✗"
}

// cell is a subject's median, with its p99 if it has one.
func (r Row) cell(subject string) string {
	result := r.Result(subject)
	if len(result.Rounds) == 0 {
		return ""
	}
	text := r.Unit.Text(result.Median)
	if result.P99 != 0 {
		text += " (" + Nanoseconds.Text(result.P99) + ")"
	}
	return text
}
