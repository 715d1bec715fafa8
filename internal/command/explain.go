package command

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/docs"
	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/words"
)

// explanations is the document of host explain.
type explanations struct {
	Version int            `json:"version"`
	Errors  []*explanation `json:"errors"`
}

// explanation is a row of docs/errors.md: an error, or an exit code, which has no text.
type explanation struct {
	Name    string `json:"name"`
	Text    string `json:"text,omitempty"`
	Meaning string `json:"meaning"`
	Action  string `json:"action"`
}

func newExplain(p *program) *cobra.Command {
	return p.outputFlag(&cobra.Command{
		Use:   "explain [NAME | CODE | TEXT]",
		Short: "Say what an error or an exit code means, and what to do",
		Long: "Say what an error or an exit code means, and what to do: by its name, or by the text that a command has\n" +
			"printed. Without an argument, list all of them. docs/errors.md has the same.",
		Example: "  host explain ErrOverloaded\n  host explain 4\n  host explain 'host: call not allowed: …'",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return explained(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			all := explanationsOn(docs.Errors)
			if len(args) > 0 {
				found, err := findExplanations(all, strings.Join(args, " "))
				if err != nil {
					return err
				}
				all = found
			}
			switch {
			case p.output == "json":
				return p.printJSON(explanations{document.Version, all})
			case len(args) == 0:
				return writeExplanations(p.stdout, all)
			}
			return p.explainFully(all)
		},
	})
}

// explained are the names of what can be explained, as people write them.
func explained() (names []string) {
	for _, e := range explanationsOn(docs.Errors) {
		names = append(names, e.short())
	}
	return names
}

var (
	errorRow = regexp.MustCompile("(?m)^\\| `([A-Za-z.]+)` \\| (.+?) \\| (.+?) \\| (.+?) \\|$")
	codeRow  = regexp.MustCompile("(?m)^\\| `([0-9]+|128 \\+ n)` \\| (.+?) \\| (.+?) \\|$")
)

// authors is how an error begins that an actor's author has given a type.
var authors = regexp.MustCompile(`^(host: )?\*\w+\.\w+: `)

// explanationsOn are the rows of the page, in its order.
func explanationsOn(page string) (all []*explanation) {
	for _, row := range errorRow.FindAllStringSubmatch(page, -1) {
		all = append(all, &explanation{row[1], row[2], row[3], row[4]})
	}
	for _, row := range codeRow.FindAllStringSubmatch(page, -1) {
		all = append(all, &explanation{row[1], "", row[2], row[3]})
	}
	return all
}

// short is the name without its package.
func (e *explanation) short() string { return e.Name[strings.LastIndex(e.Name, ".")+1:] }

// findExplanations finds what somebody means: an exit code, a name, a part of a name or of a text, or a whole
// text that an error has given. What is nearest to the letter comes first, and hides the rest.
func findExplanations(all []*explanation, asked string) ([]*explanation, error) {
	if code, err := strconv.Atoi(asked); err == nil {
		return findCode(all, code)
	}
	key := letters(asked)
	for _, fits := range []func(e *explanation) bool{
		func(e *explanation) bool { return asked == e.Name || asked == e.short() },
		func(e *explanation) bool {
			return key != "" && (key == letters(e.Name) || bare(key) == bare(letters(e.short())))
		},
		func(e *explanation) bool { return says(asked, e.Text) },
		func(e *explanation) bool { return strings.Contains(asked, "*"+e.Name+":") }, // as a relayed error begins
		func(e *explanation) bool {
			return len(key) > 2 && (strings.Contains(letters(e.Name), bare(key)) || strings.Contains(letters(e.Text), key))
		},
		func(e *explanation) bool { return e.Name == "fault.RemoteError" && authors.MatchString(asked) },
	} {
		found := slices.DeleteFunc(slices.Clone(all), func(e *explanation) bool { return !fits(e) })
		if len(found) > 0 {
			return found, nil
		}
	}
	return nil, &usageError{fmt.Errorf("expected an error, an exit code or the text of an error, got %s%s; host explain lists all of them",
		words.Quote(asked), words.DidYouMean(asked, explained()))}
}

// findCode finds an exit code. One above 128 tells the signal that has ended a run.
func findCode(all []*explanation, code int) ([]*explanation, error) {
	general := -1
	for i, e := range all {
		switch e.Name {
		case strconv.Itoa(code):
			return all[i : i+1], nil
		case "128 + n":
			general = i
		}
	}
	if code > 128 && code < 256 && general >= 0 {
		return all[general : general+1], nil
	}
	return nil, &usageError{fmt.Errorf("the command has no exit code %d; host explain lists those that it has", code)}
}

// letters is a text by which names are compared: without case, dots and spaces.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// bare is a name without the prefix that sentinels have.
func bare(key string) string { return strings.TrimPrefix(key, "err") }

// leastText is how many characters of a text tell an error from any other text.
const leastText = 7

// says reports whether the text of an error has the parts that an explanation gives, where … stands for
// anything.
func says(text, form string) bool {
	if len(strings.ReplaceAll(form, "…", "")) < leastText {
		return false
	}
	for part := range strings.SplitSeq(form, "…") {
		_, rest, found := strings.Cut(text, strings.TrimSpace(part))
		if !found {
			return false
		}
		text = rest
	}
	return true
}

// writeExplanations lists errors with the first sentence of each.
func writeExplanations(w io.Writer, all []*explanation) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, e := range all {
		sentence, _, _ := strings.Cut(plainText(e.Meaning), ". ")
		_, _ = fmt.Fprintf(tab, "%s\t%s\n", e.Name, strings.TrimSuffix(sentence, ".")) // Flush reports it
	}
	return tab.Flush()
}

// pageWidth is how wide text for people is, where it is broken into lines.
const pageWidth = 80

func (p *program) explainFully(all []*explanation) error {
	var out strings.Builder
	for i, e := range all {
		if i > 0 {
			out.WriteByte('\n')
		}
		out.WriteString(e.Name)
		if e.Text != "" && e.Text != "…" {
			out.WriteString(": " + e.Text)
		}
		fmt.Fprintf(&out, "\n\n%s\n%s", wrapped(plainText(e.Meaning), "  "), wrapped("What to do: "+plainText(e.Action), "  "))
	}
	_, err := io.WriteString(p.stdout, out.String())
	return err
}

// plainText is a text of a page without the marks that only a page shows.
func plainText(s string) string {
	return strings.ReplaceAll(markdownLink.ReplaceAllString(s, "$1"), "`", "")
}

// wrapped breaks a paragraph into lines.
func wrapped(s, indent string) string {
	var out strings.Builder
	column := 0
	for word := range strings.FieldsSeq(s) {
		size := len([]rune(word))
		switch {
		case column == 0:
			out.WriteString(indent)
			column = len(indent)
		case column+1+size > pageWidth:
			out.WriteString("\n" + indent)
			column = len(indent)
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += size
	}
	return out.String() + "\n"
}
