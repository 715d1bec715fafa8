// Command count measures the house: for each package its lines of code and of
// comments, its exported identifiers, its longest function and file. With -check
// it fails if a budget is exceeded (parts.go). Below each part of the house stand its
// budget and what is wanted of it.
//
// A line of code has a token on it that is not a comment; blank lines, tests and
// generated files do not count, nor do files in testdata and tools. The share of comments is that of lines with
// nothing but a comment among the lines of both kinds.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

func main() {
	check := flag.Bool("check", false, "fail if a budget is exceeded")
	flag.Parse()
	if err := run(os.Stdout, ".", *check); err != nil {
		fmt.Fprintln(os.Stderr, "count:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, root string, check bool) error {
	packages, err := measure(root)
	if err != nil {
		return err
	}
	sums := []measures{}
	for _, part := range parts {
		sums = append(sums, part.sum(packages))
	}
	over := exceeded(sums)
	if _, err := io.WriteString(out, table(packages, sums)+strings.Join(append(over, ""), "\n")); err != nil {
		return err
	}
	if check && len(over) > 0 {
		return fmt.Errorf("%d budgets are exceeded", len(over))
	}
	return nil
}

// part is a set of packages that has budgets of its own.
type part struct {
	name    string
	folders []string // with all below them
	without []string // folders that are not of it, with all below
	budget  budget
	wanted  budget
}

// budget is what a part may have; 0 means that anything goes.
type budget struct {
	code, exported, function, file, goStatements int
	comments                                     int // at least, in percent
}

func (b budget) row(name string) string {
	number := func(n int, unit string) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n) + unit
	}
	return fmt.Sprintf("%s\t%s\t%s\t\t%s\t%s\t%s\t   %s\n",
		number(b.code, ""), number(b.comments, " %"), number(b.exported, ""), number(b.goStatements, ""), number(b.function, ""), number(b.file, ""), name)
}

func (p part) has(folder string) bool {
	below := func(f string) bool { return folder == f || strings.HasPrefix(folder, f+"/") }
	return slices.ContainsFunc(p.folders, below) && !slices.ContainsFunc(p.without, below)
}

func (p part) sum(packages []measures) measures {
	total := measures{folder: p.name}
	for _, m := range packages {
		if p.has(m.folder) {
			total.add(m)
		}
	}
	return total
}

// exceeded says which budgets are exceeded, and by what.
func exceeded(sums []measures) (lines []string) {
	for i, m := range sums {
		b := parts[i].budget
		for _, c := range []struct {
			what     string
			got, may int
			where    string
		}{
			{"lines of code", m.code, b.code, ""},
			{"exported identifiers", m.exported, b.exported, ""},
			{"lines in a function", m.function.lines, b.function, m.function.name},
			{"lines in a file", m.file.lines, b.file, m.file.name},
			{"go statements", m.goStatements, b.goStatements, ""},
		} {
			if c.may > 0 && c.got > c.may {
				lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s: %d %s, the budget is %d %s", m.folder, c.got, c.what, c.may, c.where)))
			}
		}
		if share := m.commentShare(); b.comments > 0 && share < float64(b.comments) {
			lines = append(lines, fmt.Sprintf("%s: %.1f %% comments, the budget is %d %%", m.folder, share, b.comments))
		}
	}
	return lines
}

func table(packages, sums []measures) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	rows := []string{"code\tcomments\texported\tmethods\tgo\tlongest function\tlongest file\t package\n"}
	slices.SortFunc(packages, func(a, b measures) int { return cmp.Compare(a.folder, b.folder) })
	for _, m := range packages {
		rows = append(rows, m.row())
	}
	rows = append(rows, "\t\t\t\t\t\t\t\n")
	for i, m := range sums {
		rows = append(rows, m.row(), parts[i].budget.row("budget"), parts[i].wanted.row("wanted"))
	}
	// A strings.Builder takes everything.
	_, _ = io.WriteString(w, strings.Join(rows, ""))
	_ = w.Flush()
	return text.String()
}

func (m *measures) row() string {
	return fmt.Sprintf("%d\t%.0f %%\t%d\t%d\t%d\t%d\t%d\t %s\n",
		m.code, m.commentShare(), m.exported, m.methods, m.goStatements, m.function.lines, m.file.lines, m.folder)
}
