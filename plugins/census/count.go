package main

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	census "github.com/seed-2ba35074/trellis/plugins/census/contract"
	"github.com/seed-2ba35074/trellis/plugins/census/tally"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// progressEvery is how often a census says how far it is.
const progressEvery = 200 * time.Millisecond

// stream is the census's end of its context's stream.
type stream = contract.Stream[census.Progress, census.None]

// parsing is a context that is opened to be read.
var parsing = census.Parse.With(contract.ContextOptions{Reading: true})

// count is the census: the walker's files go to contexts with the parsers, one for each of them, each of
// which takes as many as its parser can keep up with.
func count(ctx context.Context, root census.Root, c *census.CountCallee) (tally.Report, error) {
	tree := host.FromContext(ctx)
	walker, err := tree.Portal("walker")
	if err != nil {
		return tally.Report{}, err
	}
	parsers, n, err := parsersOf(ctx, tree)
	if err != nil {
		return tally.Report{}, err
	}
	if err := c.Started(census.None{}); err != nil {
		return tally.Report{}, err
	}
	progress, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return tally.Report{}, err
	}
	b := &board{root: root.Root, begun: time.Now(), paths: make(chan tally.Path), files: map[string]int{}}
	if err := b.run(ctx, c, walker, parsers, n, progress); err != nil {
		return tally.Report{}, err
	}
	return b.report(), nil
}

// parsersOf is a portal to all parsers together, and how many there are: those that the census hosts, or else those
// of the tree, which may be on other machines.
func parsersOf(ctx context.Context, tree *host.Tree) (contract.Portal, int, error) {
	if own, err := tree.Portals("parser"); err == nil {
		return directory.Spread(ctx, directory.Here(ctx)+"/parser"), len(own), nil
	}
	all, err := directory.Query(ctx, "parser")
	return directory.Spread(ctx, "parser"), len(all), err
}

// board is where a census keeps what it knows; many tasks write to it.
type board struct {
	root  string
	begun time.Time
	paths chan tally.Path // from the walker to whichever parser is free

	mu     sync.Mutex
	sum    tally.Tally
	seen   int
	total  int // the same, when there are no more
	parsed int
	failed int
	files  map[string]int // by the process that has parsed them
}

// run counts until the last file is in. Whatever fails ends all of it.
func (b *board) run(ctx context.Context, c *census.CountCallee, walker, parsers contract.Portal, n int, progress *stream) error {
	var parsing sync.WaitGroup
	done := make(chan struct{})
	for range n {
		parsing.Add(1)
		c.Go(func(ctx context.Context) error {
			defer parsing.Done()
			return b.feed(ctx, parsers)
		})
	}
	c.Go(func(ctx context.Context) error { return b.walk(ctx, walker) })
	c.Go(func(context.Context) error {
		parsing.Wait()
		close(done)
		return nil
	})
	return b.tell(ctx, progress, done)
}

// walk puts the walker's files on the board.
func (b *board) walk(ctx context.Context, walker contract.Portal) error {
	defer close(b.paths)
	for found, err := range census.Walk.Stream(ctx, walker, census.Root{Root: b.root}) {
		if err != nil {
			return err
		}
		if b.note(found) {
			select {
			case b.paths <- found.Path:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total = b.seen
	return nil
}

// note counts what the walker has found, and reports whether it is a file.
func (b *board) note(found tally.Found) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if found.Problem != "" {
		b.sum.AddUnreadable(found.Path, found.Problem)
		return false
	}
	b.seen++
	return true
}

// feed gives a parser files and takes what it has counted. When the parser is lost, or ends since there are to be
// fewer, another one gets what it still owed: to parse a file twice does no harm, which is why this may be done again.
func (b *board) feed(ctx context.Context, parsers contract.Portal) error {
	given := &given{paths: map[string]tally.Path{}}
	for {
		err := b.feedOnce(ctx, parsers, given)
		if gone := errors.Is(err, fault.ErrActorLost) || fault.IsCancel(err); !gone || ctx.Err() != nil {
			return err
		}
	}
}

// feedOnce does so for as long as one process of a parser lives.
func (b *board) feedOnce(ctx context.Context, parsers contract.Portal, given *given) error {
	_, err := parsing.Open(ctx, parsers, census.None{}, func(ctx context.Context, c *census.ParseOpener) error {
		worker := c.Peer().String()
		b.join(worker)
		s, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		c.Go(func(ctx context.Context) error {
			defer s.CloseSend()
			for path := range given.andThen(b.paths) {
				if err := s.Send(ctx, path); err != nil {
					return err
				}
			}
			return nil
		})
		for files, err := range s.All(ctx) {
			if err != nil {
				return err
			}
			for _, file := range files {
				given.returned(file.Path)
				b.add(file, worker)
			}
		}
		return nil
	})
	return err
}

// given are the paths that a parser has and has not answered yet.
type given struct {
	mu    sync.Mutex
	paths map[string]tally.Path
}

// andThen ranges over what an earlier process still owes, and then over new paths.
func (g *given) andThen(more <-chan tally.Path) iter.Seq[tally.Path] {
	g.mu.Lock()
	owed := slices.Collect(maps.Values(g.paths))
	g.mu.Unlock()
	return func(yield func(tally.Path) bool) {
		for _, path := range owed {
			if !yield(path) {
				return
			}
		}
		for path := range more {
			g.mu.Lock()
			g.paths[string(path)] = path
			g.mu.Unlock()
			if !yield(path) {
				return
			}
		}
	}
}

func (g *given) returned(path tally.Path) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.paths, string(path))
}

// join makes a process one of those that are told of, before it has parsed anything.
func (b *board) join(worker string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files[worker] += 0
}

func (b *board) add(f tally.File, worker string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sum.Add(f)
	b.parsed++
	if f.Problem != "" {
		b.failed++
	}
	b.files[worker]++
}

// tell streams progress upward until done.
func (b *board) tell(ctx context.Context, progress *stream, done <-chan struct{}) error {
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := progress.Send(ctx, b.progress()); err != nil {
				return err
			}
		case <-done:
			return progress.Send(ctx, b.progress())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (b *board) progress() census.Progress {
	b.mu.Lock()
	defer b.mu.Unlock()
	return census.Progress{
		Seen: b.seen, Parsed: b.parsed, Total: b.total, Failed: b.failed, Rate: b.rate(),
		Parsers: b.workers(),
	}
}

// workers are the processes that have parsed files, by name. The caller holds mu.
func (b *board) workers() (all []tally.Worker) {
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		all = append(all, tally.Worker{Parser: name, Files: b.files[name]})
	}
	return all
}

// rate is in files per second. The caller holds mu.
func (b *board) rate() float64 {
	return float64(int(float64(b.parsed) / time.Since(b.begun).Seconds()))
}

func (b *board) report() tally.Report {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.sum.Report()
	r.Root, r.Workers, r.Rate = b.root, b.workers(), b.rate()
	r.Seconds = float64(time.Since(b.begun).Milliseconds()) / 1000
	return r
}
