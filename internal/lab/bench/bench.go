// Package bench measures what plugins cost: Trellis beside a plain go-plugin plugin
// (gRPC, automatic mutual TLS, default options), a net/rpc one, and a raw unix socket
// as the floor; further peers are gRPC and ttrpc without TLS. In a clone, each is a small
// program of its own, built as its users would do it. Elsewhere the measuring program is
// all of them but ttrpc, started again with a variable that says which one to be, so that
// measuring needs nothing but the program itself.
//
// What is compared is measured in turn, round by round: whatever else the machine
// does meanwhile meets all of them, and the ratio of a round stays true.
package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"time"

	"github.com/seed-2ba35074/trellis/host"
)

// DefaultRounds is how often everything is measured.
const DefaultRounds = 5

// Options says what to measure. The zero value measures everything.
type Options struct {
	Rounds int            // 5, or 1 if Quick
	Only   *regexp.Regexp // of the names of workloads; nil: all
	Quick  bool           // tiny counts, which prove that it runs and measure nothing
	Source string         // Trellis's own source folder; "": the working directory
	// Step is told what is being done; nil tells nobody.
	Step func(what string)
}

// Run measures, and returns what it found. What cannot be measured here is left out,
// and the report says why. Every process that was started has ended when Run returns.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Rounds <= 0 {
		o.Rounds = DefaultRounds
		if o.Quick {
			o.Rounds = 1
		}
	}
	chosen := choose(workloads(sizesOf(o.Quick)), o.Only)
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no workload matches %q; there are %s", o.Only, namesOf(workloads(sizesOf(o.Quick))))
	}
	folder, err := os.MkdirTemp("", "bench-programs-")
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	report := newReport(o)
	watch := watchOthers()
	err = host.OpenNursery(ctx, host.Options{Name: "bench", Log: slog.New(slog.DiscardHandler)}, func(ctx context.Context, n *host.Nursery) error {
		l := &lab{options: o, folder: folder, nursery: n, peers: map[string][]process{}}
		defer func() { _ = l.stopPeers() }() // one that did not end in order is not a failure of what was measured
		if err := l.prepare(ctx, chosen); err != nil {
			return err
		}
		if err := l.measure(ctx, chosen, report); err != nil {
			return err
		}
		n.Cancel()
		return nil
	})
	if err := errors.Join(err, os.RemoveAll(folder)); err != nil {
		return nil, err
	}
	report.Seconds, report.Others = time.Since(begun).Seconds(), watch.share()
	return report, nil
}

func newReport(o Options) *Report {
	return &Report{
		Schema: schema, Taken: time.Now().UTC().Truncate(time.Second), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		CPUs: runtime.NumCPU(), Rounds: o.Rounds, Quick: o.Quick,
	}
}

func choose(all []*workload, only *regexp.Regexp) (chosen []*workload) {
	for _, w := range all {
		if only == nil || only.MatchString(w.name) {
			chosen = append(chosen, w)
		}
	}
	return chosen
}

// measure goes through the rounds. Within a round each subject goes first once in a
// while.
func (l *lab) measure(ctx context.Context, all []*workload, report *Report) error {
	found := map[*workload]*tally{}
	for _, w := range all {
		found[w] = newTally(w)
	}
	for round := range l.options.Rounds {
		for _, w := range all {
			if round > 0 && w.once || found[w].skipped != "" {
				continue
			}
			l.step(fmt.Sprintf("round %d of %d: %s", round+1, l.options.Rounds, w.name))
			if err := l.round(ctx, w, round, found[w]); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
		}
	}
	for _, w := range all {
		found[w].report(report)
	}
	report.Carried = l.carried
	for _, subject := range slices.Sorted(maps.Keys(l.missing)) {
		report.Skipped = append(report.Skipped, subject+": "+l.missing[subject])
	}
	return nil
}

// round measures one workload with each of its subjects.
func (l *lab) round(ctx context.Context, w *workload, round int, t *tally) error {
	for i := range w.subjects {
		subject := w.subjects[(i+round)%len(w.subjects)]
		if l.missing[subject] != "" {
			continue
		}
		samples, err := w.measure(ctx, l, subject)
		if missing, ok := errors.AsType[*unavailable](err); ok {
			t.skipped = missing.why
			return nil
		}
		if ctx.Err() != nil { // whatever failed, failed for that
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", subject, err)
		}
		t.add(subject, samples)
	}
	return nil
}

// unavailable is what a workload fails with that cannot be measured here.
type unavailable struct{ why string }

func (u *unavailable) Error() string { return u.why }
