package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How long saves may come one after the other to count as one: until none has come for settle, and for longest at most.
const (
	settle  = 50 * time.Millisecond
	longest = time.Second
)

// sources are the files that packages are built from, as far as they are in the main module. It is for one goroutine, and
// its watcher has one of its own until close.
type sources struct {
	dir     string // that packages are relative to
	config  string // a file which all of them belong to; "": none
	watcher *fsnotify.Watcher
	folders map[string]map[string]bool // by package, those with Go files
	files   map[string]map[string]bool // by package, others
}

func watchSources(dir, config string) (*sources, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("files cannot be watched: %w", err)
	}
	s := &sources{dir: dir, config: config, watcher: watcher, folders: map[string]map[string]bool{}, files: map[string]map[string]bool{}}
	if config != "" {
		err = watcher.Add(filepath.Dir(config))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the config file cannot be watched: %w", err), watcher.Close())
	}
	return s, nil
}

func (s *sources) close() { _ = s.watcher.Close() } // it fails only if that has been done

// listing has what one line of go list says: a folder, or a file of a kind that not all of its folder's are.
const listingForm = `{{if .Module}}{{if .Module.Main}}{{.Dir}}{{range .EmbedFiles}}
+{{$.Dir}}/{{.}}{{end}}
+{{.Module.GoMod}}{{end}}{{end}}`

// watch looks anew from which files packages are built, and watches their folders. Those of a package that cannot be
// read are as before, if it was read before.
func (s *sources) watch(ctx context.Context, packages []string) error {
	for _, pkg := range packages {
		cmd := exec.CommandContext(ctx, "go", "list", "-e", "-deps", "-f", listingForm, "--", pkg)
		cmd.Dir, cmd.WaitDelay = s.dir, time.Second
		out, err := cmd.Output()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = errors.New(strings.TrimSpace(string(exit.Stderr)))
		}
		if err != nil {
			return fmt.Errorf("the files of package %s are not known: go list: %w", pkg, err)
		}
		folders, files := map[string]bool{}, map[string]bool{}
		for line := range strings.Lines(string(out)) {
			name, isFile := strings.CutPrefix(strings.TrimSpace(line), "+")
			if name = filepath.FromSlash(name); isFile {
				files[name] = true
			} else if name != "" {
				folders[name] = true
			}
		}
		s.folders[pkg], s.files[pkg] = folders, files
		for name := range files {
			folders[filepath.Dir(name)] = true
		}
		for folder := range folders {
			if err := s.watcher.Add(folder); err != nil {
				return fmt.Errorf("folder %s cannot be watched: %w", folder, err)
			}
		}
	}
	return nil
}

// await returns when some files were saved, with the packages that are built from them; and when the config was.
func (s *sources) await(ctx context.Context) (saved []string, err error) {
	all := map[string]bool{}
	var due <-chan time.Time
	var latest time.Time
	for {
		var some bool
		select {
		case e := <-s.watcher.Events:
			some = s.note(e, all)
		case err := <-s.watcher.Errors:
			some = err != nil // some events were lost
			for pkg := range s.folders {
				all[pkg] = true
			}
		case <-due:
			return slices.Sorted(maps.Keys(all)), nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if some && latest.IsZero() {
			latest = time.Now().Add(longest)
		}
		if some {
			due = time.After(min(settle, time.Until(latest)))
		}
	}
}

// note notes the packages that a file belongs to, and reports whether something was saved. An editor that writes another file and renames
// it does that to a name which is watched; how files are called for a moment, and tests, mean nothing.
func (s *sources) note(e fsnotify.Event, all map[string]bool) (saved bool) {
	if e.Op == fsnotify.Chmod {
		return false
	}
	base := filepath.Base(e.Name)
	source := slices.Contains([]string{".go", ".s", ".c", ".h"}, filepath.Ext(base)) &&
		!strings.HasPrefix(base, ".") && !strings.HasPrefix(base, "_") && !strings.HasSuffix(base, "_test.go")
	for pkg, folders := range s.folders {
		if source && folders[filepath.Dir(e.Name)] || folders[e.Name] || s.files[pkg][e.Name] {
			saved, all[pkg] = true, true
		}
	}
	return saved || e.Name == s.config
}
