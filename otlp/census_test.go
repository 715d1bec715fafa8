package otlp_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/otlp"
	census "github.com/seed-2ba35074/trellis/plugins/census/contract"
	"github.com/seed-2ba35074/trellis/plugins/census/tally"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// theCensus are the programs of the bundled tree, built in a cache of the test's own.
func theCensus(t *testing.T) []host.Spec {
	t.Helper()
	compiled, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOCACHE", strings.TrimSpace(string(compiled)))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("GOFLAGS", strings.TrimSpace(os.Getenv("GOFLAGS")+" -ldflags=-w")) // linking is most of what building costs
	tree, err := read.Load("../config.yaml", read.Options{Lookup: func(string) (string, bool) { return "", true }})
	if err != nil {
		t.Fatal(err)
	}
	actors, err := host.Build(t.Context(), "..", tree.Actors, nil)
	if err != nil {
		t.Fatal(err)
	}
	return actors
}

// O03: one count of the census is one trace, over its host and three programs, whose spans a collector gets from each of them, each
// below the one in another process that it belongs to.
func TestO03_OneCountOfTheCensusIsOneTrace(t *testing.T) {
	actors := theCensus(t)
	tempdir.Use(t)
	files := t.TempDir()
	for _, name := range []string{"a.go", "b.go"} {
		if err := os.WriteFile(filepath.Join(files, name), []byte("package a\n\nfunc f() {}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := newCollector(t, config.GRPC)
	o := settings(c)
	o.Spans = 20_000
	err := otlp.Run(t.Context(), o, func(ctx context.Context) error {
		return host.OpenTree(ctx, quiet(), actors, func(ctx context.Context, tree *host.Tree) error {
			p, err := tree.Portal("census")
			if err != nil {
				return err
			}
			report, err := census.Count.With(contract.ContextOptions{Reading: true}).Open(ctx, p, census.Root{Root: files}, countTo)
			if report.Files != 2 {
				t.Errorf("the census has counted %+v", report)
			}
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	type place struct{ path, name string }
	top := []place{{"census", "serve census/count"}, {"", "open census/count"}}
	for _, chain := range [][]place{
		append([]place{{"census/parser", "serve parser/parse"}, {"census", "open parser/parse"}}, top...),
		append([]place{{"census/walker", "serve walker/walk"}, {"census", "stream walker/walk"}}, top...),
	} {
		below := c.span(func(s span) bool { return place{s.path(), s.GetName()} == chain[0] })
		for i, want := range chain {
			if below.Span == nil || (place{below.path(), below.GetName()}) != want {
				t.Fatalf("O03: %q of %q has not come, or is not above %v", want.name, want.path, chain[:i])
			}
			if i == len(chain)-1 {
				if len(below.GetParentSpanId()) > 0 {
					t.Errorf("O03: %q is below another span", want.name)
				}
				break
			}
			above := c.span(func(s span) bool { return bytes.Equal(s.GetSpanId(), below.GetParentSpanId()) })
			if !bytes.Equal(above.GetTraceId(), below.GetTraceId()) {
				t.Errorf("O03: %q is in another trace than what it is below", want.name)
			}
			if same := above.resource["process.pid"] == below.resource["process.pid"]; same != (above.path() == below.path()) {
				t.Errorf("O03: %q is of the process %v, and what is above it of %v", want.name, below.resource["process.pid"], above.resource["process.pid"])
			}
			below = above
		}
	}
}

// countTo is a count of which nobody looks how far it is.
func countTo(ctx context.Context, c *contract.Opener[census.None, census.None, census.Progress, tally.Report]) error {
	s, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return err
	}
	for _, err := range s.All(ctx) {
		if err != nil {
			return err
		}
	}
	return nil
}

// path is that of the actor whose span it is; "" for the root.
func (s *span) path() string {
	text, _ := s.resource["trellis.path"].(string)
	return text
}

// span is the first one that has come and is looked for.
func (c *collector) span(is func(s span) bool) span {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.spans, is)
	if i < 0 {
		return span{}
	}
	return c.spans[i]
}
