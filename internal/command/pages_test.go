package command

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/seed-2ba35074/trellis/internal/lab/page"
)

var update = flag.Bool("update", false, "write the files of docs that are made from the command")

// Files that are made from the command are those that it would make now.
func TestGeneratedFiles(t *testing.T) {
	for name, write := range map[string]func(p *program) error{
		"../../docs/config.schema.json": func(p *program) error { return p.printJSON(configSchema()) },
		"../../docs/commands.md":        writeCommands,
	} {
		var out bytes.Buffer
		if err := write(&program{stdout: &out}); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(name, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, out.Bytes()) {
			t.Errorf("%s is not what the command makes: run go test ./internal/command -run TestGeneratedFiles -update", name)
		}
	}
}

//nolint:misspell // the name of a variable
const commandsIntro = `# Commands

What ` + "`host COMMAND --help`" + ` prints, on one page. A test writes it: ` + "`go test ./internal/command -run TestGeneratedFiles -update`" + `.

Results go to standard output, progress and logs to standard error. Text that comes from plugins, configs or peers cannot steer a terminal: what is not plain text is escaped. On a terminal logs are coloured, unless
` + "`NO_COLOR`" + ` is set, and cut to its width, and progress is redrawn; behind a pipe none of that is done. With ` + "`-o json`" + ` a command prints one document, whose ` + "`version`" + ` changes when a field goes or changes its meaning; others may be added.
[Exit codes](errors.md#exit-codes) are those of all commands; [joining](joining.md) says what commands are in the tree of a host that serves. ` + "`host completion bash`" + ` (zsh, fish, powershell) makes a shell complete commands, flags and the names
of actors and endpoints, and ` + "`host man FOLDER`" + ` writes manual pages.
`

func freshProgram() *program { return &program{settings: viper.New()} }

// writeCommands writes docs/commands.md.
func writeCommands(p *program) error {
	root := newRoot(freshProgram())
	root.InitDefaultCompletionCmd()
	fmt.Fprint(p.stdout, commandsIntro)
	for _, group := range root.Groups() {
		fmt.Fprintf(p.stdout, "\n**%s**\n\n| command | what it does |\n|---|---|\n", strings.TrimSuffix(group.Title, ":"))
		for _, cmd := range root.Commands() {
			if cmd.GroupID == group.ID {
				fmt.Fprintf(p.stdout, "| %s | %s |\n", named(cmd), cmd.Short)
			}
		}
	}
	for _, cmd := range root.Commands() {
		if hasPart(cmd) {
			writeCommand(p, cmd)
		}
	}
	fmt.Fprintf(p.stdout, "\n## All commands\n\n%s", flagTable(root.PersistentFlags()))
	return nil
}

// hasPart reports whether a command has a part of the page of its own: completion is cobra's, and the intro says what
// it is for.
func hasPart(cmd *cobra.Command) bool { return cmd.Name() != "completion" }

// named is a command in the list of all, with a link to what is said of it.
func named(cmd *cobra.Command) string {
	if !hasPart(cmd) {
		return "`" + cell(usage(cmd)) + "`"
	}
	return fmt.Sprintf("[`%s`](#%s)", cell(usage(cmd)), strings.ReplaceAll(cmd.CommandPath(), " ", "-"))
}

func writeCommand(p *program, cmd *cobra.Command) {
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintf(p.stdout, "\n## %s\n\n```text\n%s\n```\n\n%s\n", cmd.CommandPath(), usage(cmd), paragraphs(text))
	if cmd.Example != "" {
		fmt.Fprint(p.stdout, "\n```sh\n")
		for line := range strings.Lines(cmd.Example) {
			fmt.Fprintln(p.stdout, strings.TrimSpace(line))
		}
		fmt.Fprint(p.stdout, "```\n")
	}
	if table := flagTable(cmd.LocalNonPersistentFlags()); table != "" {
		fmt.Fprintf(p.stdout, "\n%s", table)
	}
	for _, part := range cmd.Commands() {
		writeCommand(p, part)
	}
}

// paragraphs joins the lines of a text that is broken for terminals. What is indented stays as it is.
func paragraphs(text string) string {
	var out []string
	for part := range strings.SplitSeq(text, "\n\n") {
		if indented, is := strings.CutPrefix(part, "\t"); is {
			out = append(out, "```text\n"+strings.ReplaceAll(indented, "\n\t", "\n")+"\n```")
			continue
		}
		out = append(out, strings.ReplaceAll(part, "\n", " "))
	}
	return strings.Join(out, "\n\n")
}

func flagTable(flags *pflag.FlagSet) string {
	var rows strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Hidden {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		otherwise := ""
		if f.DefValue != "" && f.DefValue != "[]" && f.DefValue != "false" {
			otherwise = "`" + f.DefValue + "`"
		}
		fmt.Fprintf(&rows, "| %s | %s | %s |\n", name, otherwise, cell(f.Usage))
	})
	if rows.Len() == 0 {
		return ""
	}
	return "| flag | default | meaning |\n|---|---|---|\n" + rows.String()
}

// cell is a text in a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

// What an example or a page shows is a command line that there is.
func TestExamplesAreCommandLines(t *testing.T) {
	shown := map[string][]string{}
	for _, cmd := range newRoot(freshProgram()).Commands() {
		shown["the example of host "+cmd.Name()] = strings.Split(cmd.Example, "\n")
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(pages, "../../README.md") {
		if shown[name], err = commandsOn(name); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	for where, lines := range shown {
		for _, text := range lines {
			line := commandLine(text)
			if len(line) == 0 || line[0] != "host" {
				continue
			}
			seen++
			found, args, err := newRoot(freshProgram()).Find(line[1:])
			if err == nil {
				err = found.ParseFlags(args)
			}
			if err == nil {
				err = found.ValidateArgs(found.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: %s: %v", where, text, err)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d command lines were found", seen)
	}
}

// commandsOn are the lines that a page shows in shells.
func commandsOn(name string) (all []string, err error) {
	blocks, err := page.Blocks(name)
	for _, b := range blocks {
		switch b.Language {
		case "sh":
			all = append(all, strings.Split(b.Text, "\n")...)
		case "console":
			for _, c := range b.Commands() {
				all = append(all, c.Text)
			}
		}
	}
	return all, err
}

// commandLine has the words of a command line up to a comment, a pipe, a redirection or the next command, without quotes.
func commandLine(line string) (all []string) {
	quoted := false
	for _, word := range strings.FieldsFunc(line, func(r rune) bool {
		if r == '\'' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\n')
	}) {
		if slices.Contains([]string{">", "2>", "|", "&", "&&", "#"}, word) {
			break
		}
		all = append(all, strings.Trim(word, "'"))
	}
	return all
}
