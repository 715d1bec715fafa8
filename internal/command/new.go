package command

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"go/format"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/internal/words"
)

// trellis is the path of this module.
const trellis = "github.com/seed-2ba35074/trellis"

// templates are the files of a new plugin.
//
//go:embed template
var templates embed.FS

func newNew(p *program) *cobra.Command {
	n := &newPlugin{program: p}
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write a new plugin, with contract, test and config, that builds and passes at once",
		Long: "Write a new plugin into the folder NAME: its contract, its handlers, their test, a config file and a README.\n" +
			"It builds, and its tests pass. Inside a Go module it becomes a package of that, and elsewhere a module of its\n" +
			"own. The go command then adds what the module needs.",
		Example: "  host new greeter\n  cd greeter\n  go test ./...\n  host run",
		Args:    withArgs(1, 1),
		RunE:    func(cmd *cobra.Command, args []string) error { return n.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringVar(&n.module, "module", "", "make a module of this path, such as example.com/greeter")
	cmd.Flags().StringVar(&n.trellis, "trellis", "", "a folder with the source of Trellis, to build with that")
	return cmd
}

// newPlugin writes a plugin.
type newPlugin struct {
	*program
	module, trellis string
}

// scaffold is what the templates are filled with.
type scaffold struct {
	Name    string // of the actor, and of the folder
	Package string // by which its own code calls the contract
	Path    string // for imports
	Trellis string
}

func (n *newPlugin) run(ctx context.Context, name string) error {
	if !regexp.MustCompile(nameForm).MatchString(name) {
		return &usageError{fmt.Errorf("expected a name of 1 to 63 letters a-z, digits, - and _, got %s", words.Quote(name))}
	}
	folder, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	if entries, err := os.ReadDir(folder); len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &usageError{fmt.Errorf("expected a folder %s that is empty or not there; choose another name, or remove it", words.Quote(name))}
	}
	in, err := moduleAround(ctx)
	if err != nil {
		return err
	}
	edits, err := n.requirement()
	if err != nil {
		return err
	}
	importPath, err := n.importPath(in, folder)
	if err != nil {
		return err
	}
	written, err := write(folder, scaffold{name, packageName(name), importPath, trellis})
	if err != nil {
		return err
	}
	if err := n.adopt(ctx, in, folder, importPath, edits); err != nil {
		return err
	}
	for i, file := range written {
		written[i] = filepath.Join(name, file)
	}
	_, err = fmt.Fprintf(n.stdout, "%s\n\nnext:\n  cd %s\n  go test ./...\n  host run\n", strings.Join(written, "\n"), name)
	return err
}

// importPath is that of the new package, in the module around it or one of its own.
func (n *newPlugin) importPath(in *goModule, folder string) (string, error) {
	switch {
	case n.module != "":
		return n.module, nil
	case in == nil:
		return "example.com/" + filepath.Base(folder), nil
	}
	rel, err := filepath.Rel(in.folder, folder)
	return path.Join(in.Module.Path, filepath.ToSlash(rel)), err
}

// write fills a folder, and names the files.
func write(folder string, s scaffold) (names []string, err error) {
	err = fs.WalkDir(templates, "template", func(from string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := templates.ReadFile(from)
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(from, "template/"), ".tmpl")
		var out bytes.Buffer
		if err := template.Must(template.New(name).Parse(string(text))).Execute(&out, s); err != nil {
			return err
		}
		content := out.Bytes()
		if path.Ext(name) == ".go" { // the order of imports depends on their paths
			if content, err = format.Source(content); err != nil {
				return err
			}
		}
		names = append(names, filepath.FromSlash(name))
		return place(filepath.Join(folder, filepath.FromSlash(name)), content)
	})
	if err != nil {
		return nil, err
	}
	schema, err := json.MarshalIndent(configSchema(), "", "  ")
	if err != nil {
		return nil, err
	}
	const name = "config.schema.json"
	names = append(names, name)
	slices.Sort(names)
	return names, place(filepath.Join(folder, name), append(schema, '\n'))
}

// place writes a file that others may read, as source is.
func place(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // see above
		return err
	}
	return os.WriteFile(name, content, 0o644) //nolint:gosec // see above
}

// adopt makes the folder a part of a module that has all that it needs.
func (n *newPlugin) adopt(ctx context.Context, in *goModule, folder, importPath string, edits []string) error {
	own := in == nil || n.module != ""
	switch {
	case own:
		if _, err := goCommand(ctx, folder, "mod", "init", importPath); err != nil {
			return err
		}
	case in.Module.Path == trellis:
		return nil
	default:
		folder = in.folder
	}
	if own || !in.requires(trellis) {
		if _, err := goCommand(ctx, folder, append([]string{"mod", "edit"}, edits...)...); err != nil {
			return err
		}
	}
	n.progress.step("go mod tidy: looking for what the module needs")
	if _, err := goCommand(ctx, folder, "mod", "tidy"); err != nil {
		return fmt.Errorf("the plugin is written, and its module is not complete; once that is mended, run go mod tidy in %s: %w", words.Quote(folder), err)
	}
	return nil
}

// requirement is what go mod edit is told for a module to find Trellis: a folder, or the version that this
// command has.
func (n *newPlugin) requirement() ([]string, error) {
	folder, version := n.trellis, thisBuild().Trellis
	if folder == "" {
		folder = sourceFolder()
	}
	if folder != "" {
		folder, err := filepath.Abs(folder)
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(filepath.Join(folder, "go.mod")) //nolint:gosec // the user names the folder
		if err != nil || !strings.HasPrefix(string(text), "module "+trellis+"\n") {
			return nil, &usageError{fmt.Errorf("--trellis: expected a folder with the source of Trellis, got %s", words.Quote(folder))}
		}
		return []string{"-require=" + trellis + "@v0.0.0-00010101000000-000000000000", "-replace=" + trellis + "=" + folder}, nil
	}
	if version == unknownVersion || strings.Contains(version, "+dirty") {
		return nil, &usageError{errors.New("this command was built from source that is not here, and has no version that others could get; name a folder with the source with --trellis")}
	}
	return []string{"-require=" + trellis + "@" + version}, nil
}

// sourceFolder is the folder of the source that this command was built from; "" if that is not known, or is
// the go command's cache, whose version others have as well.
func sourceFolder() string {
	_, file, _, _ := runtime.Caller(0)
	folder := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	if _, err := os.Stat(filepath.Join(folder, "go.mod")); err != nil || !filepath.IsAbs(file) || strings.Contains(filepath.Base(folder), "@") {
		return ""
	}
	return folder
}

// goModule is a go.mod, as far as it matters here.
type goModule struct {
	Module  struct{ Path string }
	Require []struct{ Path string }
	folder  string
}

func (m *goModule) requires(path string) bool {
	return slices.ContainsFunc(m.Require, func(r struct{ Path string }) bool { return r.Path == path })
}

// moduleAround is the module of the working directory; nil if it is in none.
func moduleAround(ctx context.Context) (*goModule, error) {
	out, err := goCommand(ctx, ".", "env", "GOMOD")
	if err != nil {
		return nil, err
	}
	name := strings.TrimSpace(string(out))
	if name == "" || name == os.DevNull {
		return nil, nil
	}
	if out, err = goCommand(ctx, ".", "mod", "edit", "-json", name); err != nil {
		return nil, err
	}
	m := &goModule{folder: filepath.Dir(name)}
	return m, json.Unmarshal(out, m)
}

// goCommand runs the go command in a folder.
func goCommand(ctx context.Context, folder string, args ...string) ([]byte, error) {
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stderr = folder, &errs
	out, err := cmd.Output()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("the go command is needed, and is not in PATH: %w", err)
	case err != nil:
		return nil, fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, words.Clip(strings.TrimSpace(errs.String()), 4000))
	}
	return out, nil
}

// packageName is a Go identifier that is like the name, and means nothing else in the code of the plugin.
func packageName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == '-' || r == '_' {
			return -1
		}
		return r
	}, name)
	taken := []string{"main", "context", "errors", "iter", "sdk", "contract", "testing", "trellistest", "greet", "countdown"}
	switch {
	case !token.IsIdentifier(name) && !token.IsKeyword(name): // it begins with a digit
		return "p" + name
	case token.IsKeyword(name), types.Universe.Lookup(name) != nil, slices.Contains(taken, name):
		return name + "api"
	}
	return name
}
