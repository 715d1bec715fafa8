package main

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	census "github.com/seed-2ba35074/trellis/plugins/census/contract"
	"github.com/seed-2ba35074/trellis/plugins/census/tally"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// programs are the census and what it hosts. parse is how the parser answers a path.
func programs(parse func(path tally.Path) tally.File) []trellistest.Plugin {
	walk := census.Walk.Handle(func(ctx context.Context, r census.Root) iter.Seq2[tally.Found, error] { return tally.Walk(ctx, r.Root) })
	parser := census.Parse.With(contract.ContextOptions{Reading: true}).Handle(
		func(ctx context.Context, _ census.None, c *census.ParseCallee) (none census.None, err error) {
			if err := c.Started(none); err != nil {
				return none, err
			}
			s, err := c.Stream(contract.StreamOptions{})
			if err != nil {
				return none, err
			}
			for path, err := range s.All(ctx) {
				if err != nil {
					return none, err
				}
				if err := s.Send(ctx, []tally.File{parse(path)}); err != nil {
					return none, err
				}
			}
			return none, nil
		})
	return []trellistest.Plugin{
		{Name: "census", Endpoints: []contract.Handler{census.Count.Handle(count)}, Hosts: host.Subtree},
		{Name: "walker", Endpoints: []contract.Handler{walk}},
		{Name: "parser", Endpoints: []contract.Handler{parser}},
	}
}

// files makes a folder with Go files.
func files(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%d.go", i)), []byte("package p\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// countFiles opens a census, and reads its progress.
func countFiles(ctx context.Context, p contract.Portal, dir string) (tally.Report, error) {
	type opener = contract.Opener[census.None, census.None, census.Progress, tally.Report]
	return census.Count.Open(ctx, p, census.Root{Root: dir}, func(ctx context.Context, c *opener) error {
		s, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		for _, err := range s.All(ctx) {
			if err != nil {
				return err
			}
		}
		_, err = c.Wait(ctx)
		return err
	})
}

// The tree is that of the repository's config.yaml.
func TestCountOfATree(t *testing.T) {
	dir := files(t, 20)
	t.Setenv("GOROOT", dir)
	trellistest.Bubble(t, func(t *testing.T) {
		h := trellistest.Host(t, trellistest.File(t, "../../config.yaml"), programs(tally.Parse)...)
		report, err := countFiles(t.Context(), h.Portal("census"), dir)
		if err != nil || report.Files != 20 || len(report.Workers) != 2 {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

// A parser that dies has its paths again when it is back: no file is left out or counted twice.
func TestCountWithAParserThatDies(t *testing.T) {
	dir := files(t, 20)
	t.Setenv("GOROOT", dir)
	trellistest.Bubble(t, func(t *testing.T) {
		var (
			h    *trellistest.Tree
			once sync.Once
		)
		h = trellistest.Host(t, trellistest.File(t, "../../config.yaml"), programs(func(path tally.Path) tally.File {
			once.Do(func() { h.Process("parser").Die(2) })
			return tally.Parse(path)
		})...)
		report, err := countFiles(t.Context(), h.Portal("census"), dir)
		if err != nil || report.Files != 20 {
			t.Errorf("%d files, %v", report.Files, err)
		}
		// The other parser may have done all before this one is back.
		<-time.After(time.Minute) // in virtual time: longer than a pause before a restart
		if n := len(h.Processes("parser")); n != 3 {
			t.Errorf("%d processes of the two parsers, want one more", n)
		}
	})
}
