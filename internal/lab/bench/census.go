package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config/read"
	"github.com/seed-2ba35074/trellis/internal/task"
	census "github.com/seed-2ba35074/trellis/plugins/census/contract"
	count "github.com/seed-2ba35074/trellis/plugins/census/tally"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// censusWorkload counts the source of the standard library with a tree of plugins,
// their start and end included, beside the same count in one process.
func censusWorkload(s sizes) *workload {
	m := metric{name: "census of GOROOT/" + s.census, unit: Nanoseconds, goals: []Goal{atMost(1.3, 1.1)}}
	return &workload{
		name: m.name, group: "census", subjects: []string{Trellis, Inside}, metrics: []metric{m},
		measure: func(ctx context.Context, l *lab, subject string) ([]sample, error) {
			root, err := goRoot(ctx)
			if err != nil {
				return nil, err
			}
			root = filepath.Join(root, s.census)
			if err := l.buildCensus(ctx); err != nil {
				return nil, err
			}
			begun := time.Now()
			var files int
			if subject == Trellis {
				files, err = l.countWithTree(ctx, root)
			} else {
				var r count.Report
				r, err = CountHere(ctx, root, runtime.NumCPU())
				files = r.Files
			}
			if err == nil && files == 0 {
				err = fmt.Errorf("no Go files below %s", root)
			}
			return []sample{{value: float64(time.Since(begun))}}, err
		},
	}
}

func goRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", &unavailable{"the census needs the go command: " + err.Error()}
	}
	return strings.TrimSpace(string(out)), nil
}

// buildCensus builds the bundled plugins, once.
func (l *lab) buildCensus(ctx context.Context) error {
	if l.built != nil {
		return nil
	}
	file := filepath.Join(l.options.Source, "config.yaml")
	if _, err := os.Stat(filepath.Join(l.options.Source, "plugins", "census")); errors.Is(err, fs.ErrNotExist) {
		return &unavailable{"the census needs Trellis's source: run it in a clone's root folder"}
	}
	tree, err := read.Load(file, read.Options{
		Lookup: func(name string) (string, bool) { return "", name == "GOROOT" },
		Set:    []string{fmt.Sprintf("actors.census.actors.parser.replicas=%d", runtime.NumCPU())},
	})
	if err != nil {
		return err
	}
	l.built, err = host.Build(ctx, filepath.Dir(file), tree.Actors, nil)
	return err
}

func (l *lab) countWithTree(ctx context.Context, root string) (files int, err error) {
	options := host.Options{Log: slog.New(slog.DiscardHandler)}
	err = host.OpenTree(ctx, options, l.built, func(ctx context.Context, t *host.Tree) error {
		portal, err := t.Portal("census")
		if err != nil {
			return err
		}
		report, err := census.Count.Open(ctx, portal, census.Root{Root: root}, followCensus)
		files = report.Files
		return err
	})
	return files, err
}

func followCensus(ctx context.Context, c *openCensus) error {
	s, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return err
	}
	s.CloseSend()
	for _, err := range s.All(ctx) {
		if err != nil {
			return err
		}
	}
	return nil
}

// CountHere is the census as a plain program would do it: in one process, with a
// number of goroutines that parse.
func CountHere(ctx context.Context, root string, workers int) (count.Report, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	paths, files := make(chan count.Path), make(chan count.File)
	var parsers task.Group
	for range workers {
		parsers.Go(func() {
			for path := range paths {
				files <- count.Parse(path)
			}
		})
	}
	walker := task.Start(func() {
		defer close(paths)
		for found, err := range count.Walk(ctx, root) {
			if err != nil {
				cancel(err)
				return
			}
			if found.Problem == "" {
				paths <- found.Path
			}
		}
	})
	closer := task.Start(func() {
		parsers.Close()
		close(files)
	})
	var sum count.Tally
	for f := range files {
		sum.Add(f)
	}
	walker.Wait()
	closer.Wait()
	if ctx.Err() != nil {
		return count.Report{}, context.Cause(ctx)
	}
	return sum.Report(), nil
}

type openCensus = contract.Opener[census.None, census.None, census.Progress, count.Report]
