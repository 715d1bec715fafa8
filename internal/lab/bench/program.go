package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/host"
)

const (
	programFolder = "internal/lab/bench/program" // main packages, one for each subject
	driverFolder  = "testdata/ttrpc"             // a module of its own
)

// prepare finds the programs of all subjects that are needed. In a clone they are built, as
// their users do it; elsewhere this program plays them all, and what it cannot play is
// missing.
func (l *lab) prepare(ctx context.Context, chosen []*workload) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	l.programs, l.missing = map[string]string{busy: self, relay: self, agent: self, TLS: self}, map[string]string{}
	_, noSource := os.Stat(filepath.Join(l.options.Source, programFolder))
	_, noGo := exec.LookPath("go")
	l.carried = errors.Join(noSource, noGo) != nil
	for _, subject := range []string{Trellis, Plain, NetRPC, Bare, TTRPC, Socket} {
		if !slices.ContainsFunc(chosen, func(w *workload) bool { return slices.Contains(w.subjects, subject) }) {
			continue
		}
		switch {
		case subject == TTRPC && l.carried:
			l.missing[subject] = "it is built from Trellis's source with the go command: run it in a clone's root folder"
		case l.carried:
			l.programs[subject] = self
		default:
			l.step("building the program " + subject)
			if err := l.build(ctx, subject); err != nil {
				return err
			}
		}
	}
	return nil
}

// build builds the program of a subject.
func (l *lab) build(ctx context.Context, subject string) (err error) {
	switch subject {
	case Trellis:
		built, err := host.Build(ctx, l.options.Source, []host.Spec{{Name: subject, Package: "./" + programFolder + "/" + subject}}, nil)
		if err != nil {
			return err
		}
		l.programs[subject] = built[0].Command[0]
	case TTRPC:
		l.programs[subject], err = l.goBuild(ctx, driverFolder, ".", subject, nil)
		if err != nil && ctx.Err() == nil { // most likely it is not there to be downloaded
			l.missing[subject] = err.Error()
			err = nil
		}
	default:
		l.programs[subject], err = l.goBuild(ctx, ".", "./"+programFolder+"/"+subject, subject, nil)
	}
	return err
}

// buildPure replaces the program of a subject by one that is built without cgo, once.
func (l *lab) buildPure(ctx context.Context, subject string) error {
	name := subject + "-pure"
	file := filepath.Join(l.folder, name)
	l.programs = maps.Clone(l.programs)
	l.programs[subject] = file
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	_, err := l.goBuild(ctx, ".", "./"+programFolder+"/"+subject, name, []string{"CGO_ENABLED=0"})
	return err
}

// goBuild builds a package into the lab's folder, as anybody would.
func (l *lab) goBuild(ctx context.Context, dir, pkg, name string, env []string) (string, error) {
	file := filepath.Join(l.folder, name)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", file, pkg)
	cmd.Dir, cmd.Env = filepath.Join(l.options.Source, dir), append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", fmt.Errorf("%s in %s does not build: %w: %s", pkg, cmd.Dir, err, strings.TrimSpace(string(out)))
	}
	return file, nil
}
