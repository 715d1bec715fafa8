package bench

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/link"
)

func TestAPatternThatMatchesNothing(t *testing.T) {
	_, err := Run(t.Context(), Options{Only: regexp.MustCompile("nonsense")})
	if err == nil || !strings.Contains(err.Error(), `"nonsense"; there are call 0 B, 1 caller;`) {
		t.Errorf("got %v, want the names that there are", err)
	}
}

func TestCensusElsewhere(t *testing.T) {
	r, err := Run(t.Context(), Options{Quick: true, Only: regexp.MustCompile("^census"), Source: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 0 || len(r.Skipped) != 1 || !strings.Contains(r.Skipped[0], "clone's root folder") {
		t.Errorf("rows %v, skipped %q; want it left out, with what to do", r.Rows, r.Skipped)
	}
}

// Elsewhere the program plays every plugin itself, and says which peer is missing.
func TestWithoutTheSourceEveryPluginIsCarried(t *testing.T) {
	r, err := Run(t.Context(), Options{Quick: true, Only: regexp.MustCompile("^(call 64 B, 64 callers$|start (to|without))"), Source: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		for _, subject := range []string{Trellis, Plain, NetRPC, Bare, Socket} {
			if len(row.Result(subject).Rounds) != 1 {
				t.Errorf("%s: no %s", row.Name, subject)
			}
		}
	}
	var table strings.Builder
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Left out: ttrpc: it is built from Trellis's source", "Every plugin was the measuring program itself"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, table.String())
		}
	}
}

// The full sizes are measured by hand, now and then: they must not be refused by then.
func TestAsManyIdleContextsAsAPeerTakes(t *testing.T) {
	if most := slices.Max(sizesOf(false).contexts); most > link.DefaultMaxDialogs {
		t.Errorf("%d contexts are opened at once; an actor takes %d", most, link.DefaultMaxDialogs)
	}
}
