package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	census "github.com/seed-2ba35074/trellis/plugins/census/contract"
	"github.com/seed-2ba35074/trellis/plugins/census/tally"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// answers sends paths to a parser, and gives what comes back.
func answers(ctx context.Context, p contract.Portal, paths ...string) (files []tally.File, err error) {
	_, err = census.Parse.Open(ctx, p, census.None{}, func(ctx context.Context, c *census.ParseOpener) error {
		s, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		for _, path := range paths {
			if err := s.Send(ctx, tally.Path(path)); err != nil {
				return err
			}
		}
		s.CloseSend()
		for some, err := range s.All(ctx) {
			if err != nil {
				return err
			}
			files = append(files, some...)
		}
		return nil
	})
	return files, err
}

func TestParseAnswersEachPath(t *testing.T) {
	good, bad := filepath.Join(t.TempDir(), "good.go"), filepath.Join(t.TempDir(), "bad.go")
	for path, text := range map[string]string{good: "package p\n\nfunc f() {}\n", bad: "package"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := answers(t.Context(), trellistest.Serve(t, parser), good, bad, good)
	if err != nil || len(files) != 3 {
		t.Fatalf("%d answers, %v", len(files), err)
	}
	for i, file := range files {
		if (file.Problem != "") != (i == 1) {
			t.Errorf("%s: %q", file.Path, file.Problem)
		}
	}
}

// Whatever happens to a parser, the census gets all answers or learns that it has not.
func TestParseInManySchedules(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.go")
	if err := os.WriteFile(path, []byte("package p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	trellistest.Explore(t, 50, func(t *testing.T, s *trellistest.Schedule) {
		files, err := answers(t.Context(), trellistest.Serve(t, parser), path, path, path)
		if err != nil && !s.Excuses(err) {
			t.Error(err)
		}
		if err == nil && len(files) != 3 {
			t.Errorf("%d answers to 3 paths, and no error", len(files))
		}
	})
}
