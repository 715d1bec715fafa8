package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/launch"
	"github.com/seed-2ba35074/trellis/internal/process"
)

// Build builds the Go packages that actors name, with the go command, and returns
// the actors with commands in their place; children too. dir is what relative
// packages and commands are relative to. Programs are kept in the user's cache (see
// CleanPrograms), so that a second build costs little. Any number of builds may run
// at once, in this program and others. tell is told how far it is, if it is not nil;
// the go command waits for it.
func Build(ctx context.Context, dir string, actors []Spec, tell func(BuildStep)) ([]Spec, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for _, a := range actors {
		if err := a.Check(); err != nil {
			return nil, fmt.Errorf("actor %q cannot be built: %w", a.Name, err)
		}
	}
	packages := map[string]config.Built{}
	collect(actors, packages)
	if len(packages) == 0 || launch.From(ctx) != nil { // nothing of the system's is executed
		return built(dir, actors, packages), nil
	}
	cache, err := openPrograms()
	if err != nil {
		return nil, err
	}
	_, _ = trimPrograms(cache, keptUnused, time.Now()) // what stays is tried again by the next build
	for n, pkg := range slices.Sorted(maps.Keys(packages)) {
		say := func(line string) {
			if tell != nil {
				tell(BuildStep{Package: pkg, Number: n + 1, Of: len(packages), Line: line})
			}
		}
		say("")
		b := config.Built{Package: pkg, Dir: dir, Program: filepath.Join(cache, folderName(dir), programName(dir, pkg))}
		if err := buildProgram(ctx, b, say); err != nil {
			return nil, err
		}
		if b.Sum, err = process.Sum(ctx, b.Program); err != nil { // another program of the same package has another one
			return nil, err
		}
		packages[pkg] = b
	}
	return built(dir, actors, packages), nil
}

// BuildStep is how far a build is.
type BuildStep struct {
	Package    string // that is being built
	Number, Of int    // which one it is, from 1
	// Line is what the go command says: a package that it compiles, "go: downloading …";
	// "" at first.
	Line string
}

// collect gathers the packages of a tree.
func collect(actors []Spec, packages map[string]config.Built) {
	for _, a := range actors {
		if a.Package != "" {
			packages[a.Package] = config.Built{Package: a.Package, Program: a.Package}
		}
		collect(a.Actors, packages)
	}
}

// isBuilt reports whether an actor's program is what was built of its package. A command that
// begins with anything else, a wrapper or a copy, belongs to whoever wrote it.
func isBuilt(spec Spec) bool { return spec.Built != nil && spec.Command[0] == spec.Built.Program }

// rebuild builds the program of an actor anew if it has been removed since it was built,
// as a cleaner of caches does. A host that is an actor does so for its own children.
// Nothing is built in the place of another program.
func rebuild(ctx context.Context, spec Spec) error {
	if !isBuilt(spec) {
		return nil
	}
	if _, err := os.Stat(spec.Built.Program); !errors.Is(err, os.ErrNotExist) {
		return nil // what else is wrong with it, its start says
	}
	return buildProgram(ctx, *spec.Built, func(string) {})
}

// buildProgram builds a package into a folder of its own beside the program and puts it in
// place by rename: a program that runs is never written to, and of two builds at
// once neither touches what the other writes.
func buildProgram(ctx context.Context, b config.Built, say func(line string)) error {
	folder := filepath.Dir(b.Program)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(folder, "fresh-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(fresh) }() // what stays is trimmed one day
	file := filepath.Join(fresh, filepath.Base(b.Program))
	if err := os.Link(b.Program, file); err != nil && !errors.Is(err, os.ErrNotExist) {
		_ = os.Remove(file) // the go command just builds anew
	}
	if err := goBuild(ctx, b, file, say); err != nil {
		return err
	}
	now := time.Now()
	if err := errors.Join(os.Chtimes(file, now, now), os.Rename(file, b.Program)); err != nil {
		return fmt.Errorf("put the program of package %s in place: %w", b.Package, err)
	}
	return nil
}

// goBuild runs the go command, with all of this process's environment. A program that can do
// without cgo is built without: it starts sooner, as no dynamic linker has to run first.
func goBuild(ctx context.Context, from config.Built, file string, say func(line string)) error {
	output := &goOutput{say: say}
	cmd := goCommand(ctx, from, "build", "-v", "-o", file, "--", from.Package)
	cmd.Stdout, cmd.Stderr = output, output
	if !wantsCgo(ctx, from) {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if why := unfounded(ctx, from); why != "" {
			err = fmt.Errorf("%s (%w)", why, err)
		}
		return fmt.Errorf("package %s does not build: %w\n%s", from.Package, err, strings.TrimSpace(output.problems.String()+string(output.line)))
	}
	return checkProgram(from.Package, file)
}

// archive is how a file begins that the go command makes of a package that is not a program.
const archive = "!<arch>"

// checkProgram fails if what was built is not a program.
func checkProgram(pkg, file string) error {
	f, err := os.Open(file) //nolint:gosec // it was built just now
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it is only read
	begins := make([]byte, len(archive))
	if _, err := io.ReadFull(f, begins); err != nil {
		return err
	}
	if string(begins) == archive {
		return fmt.Errorf("package %s is not a program: expected package main, with a func main that calls sdk.Serve", pkg)
	}
	return nil
}

// unfounded is what of a package's surroundings keeps it from being built, and what to do about that, where the go command
// speaks of something else; "" if they are as they have to be.
func unfounded(ctx context.Context, from config.Built) string {
	isFolder := func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && info.IsDir()
	}
	folder := Spec{Package: from.Package}.Anchored(from.Dir).Package
	switch {
	case filepath.IsAbs(folder) && !isFolder(folder):
		return fmt.Sprintf("expected a folder at %s, there is none; correct the path, or have the plugin written: host new", folder)
	case !filepath.IsAbs(folder) && isFolder(filepath.Join(from.Dir, folder)):
		return fmt.Sprintf("expected an import path, or a folder that begins with ./, as ./%s", folder)
	}
	module, err := goCommand(ctx, from, "env", "GOMOD", "GOWORK").Output()
	if text := strings.TrimSpace(string(module)); err == nil && (text == "" || text == os.DevNull) {
		return fmt.Sprintf("expected a Go module, a go.mod in %s or above it, there is none; make one with go mod init NAME, or give a program that is built, as command", from.Dir)
	}
	return ""
}

// goCommand is the go command, in the folder of a package. A compiler that it has started may hold
// its pipes open after it was killed, and is not waited for.
func goCommand(ctx context.Context, from config.Built, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.WaitDelay = from.Dir, time.Second
	return cmd
}

// wantsCgo reports whether a program is built with cgo, if the go command has it: somebody says
// so, in the environment or with go env -w; GOFLAGS asks for what needs it, a detector or the
// system's linker; or one of its packages outside the standard library has C code. Of the standard
// library, which then uses its Go code instead, packages net and os/user are concerned. A package
// that cannot be listed will not build either, and the build says why.
func wantsCgo(ctx context.Context, from config.Built) bool {
	settings, err := goCommand(ctx, from, "env", "GOENV", "GOFLAGS").Output()
	file, flags, _ := strings.Cut(string(settings), "\n")
	written, _ := os.ReadFile(file) //nolint:gosec // by go env -w, where the go command says; most users have none
	asked := func(flag string) bool { return strings.Contains(flags, flag) }
	switch {
	case err != nil, os.Getenv("CGO_ENABLED") != "", bytes.Contains(slices.Concat([]byte("\n"), written), []byte("\nCGO_ENABLED=")):
		return true // what it says is passed on
	case slices.ContainsFunc([]string{"-race", "-msan", "-asan", "-linkmode", "-linkshared", "-buildmode"}, asked):
		return true
	}
	using, err := goCommand(ctx, from, "list", "-deps", "-f", "{{if and .CgoFiles (not .Standard)}}{{.ImportPath}}{{end}}", "--", from.Package).Output()
	return err != nil || len(bytes.TrimSpace(using)) > 0
}

// goOutput takes apart what go build -v prints: how far it is, and what is wrong. os/exec
// writes to it on one goroutine, as it is both standard output and standard error, and Run
// returns after the last write; line holds what has come of a line without its end.
type goOutput struct {
	say      func(line string)
	line     []byte
	problems bytes.Buffer
}

func (o *goOutput) Write(p []byte) (int, error) {
	for piece := range bytes.Lines(p) {
		o.line = append(o.line, piece...)
		text, whole := bytes.CutSuffix(o.line, []byte("\n"))
		if !whole {
			break
		}
		if isProgress(text) {
			o.say(string(text))
		} else {
			o.problems.Write(o.line)
		}
		o.line = o.line[:0]
	}
	return len(p), nil
}

// isProgress reports whether a line of go build -v is the name of a package or a download.
// An import path has neither a space nor a colon, and every message about a mistake has
// one.
func isProgress(line []byte) bool {
	return bytes.HasPrefix(line, []byte("go: downloading ")) || len(line) > 0 && !bytes.ContainsAny(line, " \t:")
}

// built replaces packages by commands, and makes relative paths absolute.
func built(dir string, actors []Spec, packages map[string]config.Built) []Spec {
	out := make([]Spec, len(actors))
	for i, a := range actors {
		if a.Package != "" {
			b := packages[a.Package]
			b.Dir = dir
			a.Built = &b
			a.Command, a.Package = []string{a.Built.Program}, ""
		}
		a.Actors = built(dir, a.Actors, packages)
		out[i] = a.Anchored(dir)
	}
	return out
}

// anchoredHere is the actor anchored to the working directory; without one, relative paths
// are of no use.
func anchoredHere(a Spec) Spec {
	dir, err := os.Getwd()
	if err != nil {
		return a
	}
	return a.Anchored(dir)
}
