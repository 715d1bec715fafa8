package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Build builds the Go packages that actors name, with the go command, and returns
// the actors with commands in their place; children too. dir is what relative
// packages and commands are relative to. Programs are kept in the user's cache, so
// that a second build costs little.
func Build(ctx context.Context, dir string, actors []Spec) ([]Spec, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	cache, err := programCache(dir)
	if err != nil {
		return nil, err
	}
	packages := map[string]string{}
	collect(actors, packages)
	for pkg := range packages {
		packages[pkg] = filepath.Join(cache, programName(pkg))
	}
	for pkg, program := range packages {
		if err := goBuild(ctx, dir, pkg, program); err != nil {
			return nil, err
		}
	}
	return built(dir, actors, packages), nil
}

// programCache is where the programs of one source folder are kept.
func programCache(dir string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = filepath.Join(os.TempDir(), fmt.Sprintf("trellis-cache-%d", os.Getuid()))
	}
	sum := sha256.Sum256([]byte(dir))
	cache := filepath.Join(base, "trellis", "programs", hex.EncodeToString(sum[:8]))
	return cache, os.MkdirAll(cache, 0o700)
}

// programName keeps programs of equal last elements apart.
func programName(pkg string) string {
	sum := sha256.Sum256([]byte(pkg))
	return filepath.Base(pkg) + "-" + hex.EncodeToString(sum[:4])
}

func collect(actors []Spec, packages map[string]string) {
	for _, a := range actors {
		if a.Package != "" {
			packages[a.Package] = ""
		}
		collect(a.Actors, packages)
	}
}

// goBuild builds one package into a file of its own name and puts it in place by
// rename: a program that runs is never written to.
func goBuild(ctx context.Context, dir, pkg, program string) error {
	fresh := fmt.Sprintf("%s.%d", program, os.Getpid())
	defer func() { _ = os.Remove(fresh) }() // there only after a failure
	if err := os.Link(program, fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		_ = os.Remove(fresh) // the go command just builds anew
	}
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "build", "-o", fresh, pkg)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &output, &output
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("package %s does not build: %w\n%s", pkg, err, strings.TrimSpace(output.String()))
	}
	return os.Rename(fresh, program)
}

// built replaces packages by commands, and makes relative commands absolute.
func built(dir string, actors []Spec, packages map[string]string) []Spec {
	out := make([]Spec, len(actors))
	for i, a := range actors {
		if a.Package != "" {
			a.Command, a.Package = []string{packages[a.Package]}, ""
		} else if len(a.Command) > 0 && strings.ContainsRune(a.Command[0], os.PathSeparator) && !filepath.IsAbs(a.Command[0]) {
			a.Command = append([]string{filepath.Join(dir, a.Command[0])}, a.Command[1:]...)
		}
		if a.Dir != "" && !filepath.IsAbs(a.Dir) {
			a.Dir = filepath.Join(dir, a.Dir)
		}
		a.Actors = built(dir, a.Actors, packages)
		out[i] = a
	}
	return out
}
