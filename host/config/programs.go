package config

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// CheckPrograms says which programs, packages and working directories of a tree are not
// there. What is relative is relative to dir. src is nil for a tree that was not read
// from a source. It returns nil or an *Error.
//
// It is for host validate, and apart from Check: the answer depends on the machine, and on the
// moment. A start does not ask it, but tries, and then reports what the system says.
func (t *Tree) CheckPrograms(dir string, src Source) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	c := &checker{src: src}
	c.programs(dir, t.Actors, (*place)(nil).key("actors"), false, false)
	return c.err()
}

// programs looks for what actors need. ownPath is whether the actor which starts them has
// a PATH of its own, which is not known here. That holds for all levels below it, as each actor
// hands its own PATH on; a program that is named without a slash is then not looked for. elsewhere is
// whether they run on another machine, of whose files only packages are here.
func (c *checker) programs(dir string, actors []Actor, at *place, ownPath, elsewhere bool) {
	for i, a := range actors {
		here := at.item(i, a.Name)
		there := elsewhere || a.On != nil
		if len(a.Command) > 0 && !there && (!ownPath || !isName(a.Command[0])) {
			c.refused(here.key("command").item(0, ""), findProgram(dir, a.Command[0]))
		}
		if isFolder(a.Package) {
			c.refused(here.key("package"), findPackage(within(dir, a.Package)))
		}
		if a.Dir != "" && !there {
			c.refused(here.key("dir"), findFolder(within(dir, a.Dir)))
		}
		_, sets := a.Env["PATH"]
		c.programs(dir, a.Actors, here.key("actors"), ownPath || sets, there)
	}
}

// Anchored is the actor with the relative paths of its program, its package and its working directory
// made absolute, and those of its actors: it may go to a host that works in another folder. What is
// looked for elsewhere, a program in PATH or a package by its import path, stays as it is, and so do paths
// on another machine (On).
func (a Actor) Anchored(dir string) Actor { return a.anchored(dir, false) }

func (a Actor) anchored(dir string, elsewhere bool) Actor {
	elsewhere = elsewhere || a.On != nil
	if len(a.Command) > 0 && !elsewhere && !isName(a.Command[0]) {
		a.Command = append([]string{within(dir, a.Command[0])}, a.Command[1:]...)
	}
	if isFolder(a.Package) {
		a.Package = within(dir, a.Package)
	}
	if a.Dir != "" && !elsewhere {
		a.Dir = within(dir, a.Dir)
	}
	a.Actors = slices.Clone(a.Actors)
	for i, below := range a.Actors {
		a.Actors[i] = below.anchored(dir, elsewhere)
	}
	return a
}

func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// isFolder reports whether a package is named by its folder, and not by an import path. The rule
// is the go command's: "plugins/parser" is an import path, even if there is such a folder.
func isFolder(pkg string) bool {
	first, _, _ := strings.Cut(filepath.ToSlash(pkg), "/")
	return first == "." || first == ".." || filepath.IsAbs(pkg)
}

// isName reports whether a program is looked for in PATH.
func isName(program string) bool { return !strings.ContainsRune(program, os.PathSeparator) }

// findProgram returns what is wrong with a program, in words that end with what to do. LookPath also
// says whether this user may execute the file; its error repeats the path, and so is unwrapped.
func findProgram(dir, program string) error {
	if isName(program) {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("program %q: %w; give a path with a slash, or put it into a directory of PATH", program, errors.Unwrap(err))
		}
		return nil
	}
	file := within(dir, program)
	switch _, err := exec.LookPath(file); {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("expected a program at %s, there is none; build it or correct the command", file)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("expected an executable file at %s: chmod +x it", file)
	default:
		return fmt.Errorf("expected a program at %s: %w", file, errors.Unwrap(err))
	}
}

// findPackage looks for Go files and no further. Whether they are a package, and one for this
// system, is for the go command to say, which takes seconds.
func findPackage(folder string) error {
	if err := findFolder(folder); err != nil {
		return err
	}
	if files, err := filepath.Glob(filepath.Join(folder, "*.go")); err == nil && len(files) == 0 {
		return fmt.Errorf("expected a Go package in %s, which has no Go files", folder)
	}
	return nil
}

func findFolder(folder string) error {
	info, err := os.Stat(folder)
	if err == nil && !info.IsDir() {
		return fmt.Errorf("expected a folder at %s, it is a file", folder)
	}
	if err != nil {
		return fmt.Errorf("expected a folder at %s: %w", folder, errors.Unwrap(err))
	}
	return nil
}
