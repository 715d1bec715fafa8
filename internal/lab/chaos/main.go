//go:build linux

// Command chaos builds a tree of 15 actors under load, strikes it again and again,
// and looks after each blow whether everybody who had to know was told, once and
// in a typed error, whether nobody else was, whether all works again, and whether
// nothing is left: see docs/chaos.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

func main() {
	if role := os.Getenv(roleVar); role != "" {
		play(role)
	}
	os.Exit(run(os.Args[1:], os.Stdout))
}

// settings of a run.
type settings struct {
	seed    uint64
	blows   int
	from    int
	time    time.Duration
	only    string
	each    bool
	goOn    bool
	list    bool
	verbose bool
}

func run(args []string, out io.Writer) (code int) {
	var s settings
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.Uint64Var(&s.seed, "seed", 1, "the plan's seed; 0: one that nobody knows yet")
	flags.IntVar(&s.blows, "blows", 100, "how many blows")
	flags.IntVar(&s.from, "from", 1, "the first blow; those before it are left out")
	flags.StringVar(&s.only, "kind", "", "only blows of this kind")
	flags.BoolVar(&s.each, "each", false, "only the first blow of each kind")
	flags.DurationVar(&s.time, "time", 0, "no further blow after this time; 0: no limit")
	flags.BoolVar(&s.goOn, "go-on", false, "after something was wrong, start anew and go on with the next blow")
	flags.BoolVar(&s.list, "list", false, "print the plan and do nothing")
	flags.BoolVar(&s.verbose, "v", false, "print every blow")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if s.seed == 0 {
		s.seed = uint64(time.Now().UnixNano())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := storm(ctx, s, out); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 1
	}
	return 0
}

// storm carries out a plan.
func storm(ctx context.Context, s settings, out io.Writer) (err error) {
	plan := Plan(s.seed, s.blows)
	if s.list {
		for _, b := range s.choose(plan) {
			if _, err := fmt.Fprintln(out, b); err != nil {
				return err
			}
		}
		return nil
	}
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		return err
	}
	d, err := newDriver(dir, out, s.verbose)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, d.close())
		if err == nil {
			err = os.RemoveAll(dir)
			return
		}
		err = fmt.Errorf("%w\nthe actors' logs are in %s/log", err, dir)
	}()
	return d.carryOut(ctx, s, plan)
}

// choose leaves out what is not wanted of a plan.
func (s settings) choose(plan []Blow) []Blow {
	seen := map[Kind]bool{}
	return slices.DeleteFunc(plan, func(b Blow) bool {
		if b.N < s.from || s.only != "" && string(b.Kind) != s.only || s.each && seen[b.Kind] {
			return true
		}
		seen[b.Kind] = true
		return false
	})
}

// carryOut strikes blow after blow.
func (d *driver) carryOut(ctx context.Context, s settings, plan []Blow) error {
	begun := time.Now()
	if err := d.begin(ctx); err != nil {
		return err
	}
	d.say(fmt.Sprintf("seed %d, blows %d to %d", s.seed, s.from, s.blows))
	var wrong []error
	for _, b := range s.choose(plan) {
		if s.time > 0 && time.Since(begun) > s.time {
			break
		}
		if d.verbose {
			d.say(b)
		}
		err := d.strike(ctx, b)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		d.dump(ctx)
		err = fmt.Errorf("seed %d, blow %d:\n%v\n%w\nreplay: make chaos CHAOS='-seed %d -blows %d -v'", s.seed, b.N, b, err, s.seed, b.N)
		wrong = append(wrong, err)
		if !s.goOn {
			break
		}
		d.say(err)
		if err := d.startAnew(ctx); err != nil {
			return errors.Join(append(wrong, err)...)
		}
	}
	d.say(d.tally.summary(time.Since(begun)))
	if len(wrong) == 0 {
		wrong = append(wrong, d.finish(ctx))
	}
	if err := errors.Join(wrong...); err == nil || !s.goOn {
		return err
	}
	return fmt.Errorf("%d went wrong, the last one:\n%w", len(wrong), wrong[len(wrong)-1])
}

// say prints a line. Who cannot read it is told by the exit code.
func (d *driver) say(what any) { _, _ = fmt.Fprintln(d.out, what) }

// begin starts the tree and waits until it is well.
func (d *driver) begin(ctx context.Context) error {
	if err := d.launch(); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	if err := d.count(ctx); err != nil {
		return err
	}
	d.failures, d.steps = nil, nil
	return nil
}

// startAnew replaces a tree in which something went wrong.
func (d *driver) startAnew(ctx context.Context) error {
	if err := d.killAll(ctx); err != nil {
		return err
	}
	return d.begin(ctx)
}

// dump writes the goroutines of all actors to the log.
func (d *driver) dump(ctx context.Context) {
	for _, p := range tree {
		now := d.now(p.name)
		if now == nil {
			continue
		}
		a, err := d.ask(ctx, now, Command{Do: doDump})
		d.note("goroutines of %s (pid %d), %v\n%s", now.name, now.pid, err, a.Text)
		d.note("goroutines of %s when it was well\n%s", now.name, now.stacks)
	}
}
