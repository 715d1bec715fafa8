package config

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// CheckPrograms says which programs, packages and working directories of a tree are not
// there. What is relative is relative to dir. It returns nil or an *Error.
func (t *Tree) CheckPrograms(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	c := &checker{}
	c.programs(dir, t.Actors, (*place)(nil).key("actors"), false)
	return c.err()
}

// programs looks for what actors need. ownPath says that the actor which starts them has
// a PATH of its own, which is not known here.
func (c *checker) programs(dir string, actors []Actor, at *place, ownPath bool) {
	for i, a := range actors {
		here := at.item(i, a.Name)
		if len(a.Command) > 0 && (!ownPath || !isName(a.Command[0])) {
			c.missing(findProgram(dir, a.Command[0]), here.key("command").item(0, ""))
		}
		if isFolder(a.Package) {
			c.missing(findPackage(within(dir, a.Package)), here.key("package"))
		}
		if a.Dir != "" {
			c.missing(findFolder(within(dir, a.Dir)), here.key("dir"))
		}
		_, sets := a.Env["PATH"]
		c.programs(dir, a.Actors, here.key("actors"), ownPath || sets)
	}
}

func (c *checker) missing(err error, at *place) {
	if err != nil {
		c.note(at, "%v", err)
	}
}

func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// isFolder reports whether a package is named by its folder, and not by an import path.
func isFolder(pkg string) bool {
	return pkg == "." || pkg == ".." || strings.HasPrefix(pkg, "./") || strings.HasPrefix(pkg, "../") || filepath.IsAbs(pkg)
}

// isName reports whether a program is looked for in PATH.
func isName(program string) bool { return !strings.ContainsRune(program, os.PathSeparator) }

func findProgram(dir, program string) error {
	if isName(program) {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("program %q: %w; give a path with a slash, or put it into a directory of PATH", program, errors.Unwrap(err))
		}
		return nil
	}
	_, err := exec.LookPath(within(dir, program))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("expected a program at %s, there is none; build it or correct the command", within(dir, program))
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("expected an executable file at %s: chmod +x it", within(dir, program))
	}
	return fmt.Errorf("expected a program at %s: %w", within(dir, program), errors.Unwrap(err))
}

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
	switch {
	case err != nil:
		return fmt.Errorf("expected a folder at %s: %w", folder, errors.Unwrap(err))
	case !info.IsDir():
		return fmt.Errorf("expected a folder at %s, it is a file", folder)
	}
	return nil
}
