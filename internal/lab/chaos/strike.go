//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// strike carries out a blow, waits until all is well again, and says what was
// wrong on the way.
func (d *driver) strike(ctx context.Context, b Blow) error {
	if err := d.rest(ctx, b.Pause); err != nil {
		return err
	}
	if late := d.judge(&expectation{}, snapshot{at: time.Now()}); len(late) > 0 {
		return fmt.Errorf("before the blow, out of the blue:\n  %s", strings.Join(late, "\n  "))
	}
	d.failures, d.steps = nil, nil
	s := d.takeSnapshot()
	e, err := d.blow(ctx, b, s)
	if err == nil {
		err = d.settle(ctx)
	}
	healed := time.Now()
	if err == nil {
		err = d.count(ctx)
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	if e != nil {
		if wrong := d.judge(e, s); len(wrong) > 0 {
			err = errors.Join(err, fmt.Errorf("%d wrong:\n  %s", len(wrong), strings.Join(wrong[:min(len(wrong), mostWrong)], "\n  ")))
		}
	}
	if err != nil {
		return fmt.Errorf("%w\nwhat happened:\n%s", err, d.story(s))
	}
	d.tally.add(d, b, s, healed)
	d.failures, d.steps = nil, nil
	return nil
}

// mostWrong is how much of what was wrong is printed.
const mostWrong = 20

// blow does what the blow is, and returns when its effects can be waited for.
func (d *driver) blow(ctx context.Context, b Blow, s snapshot) (*expectation, error) {
	switch b.Kind {
	case Kill:
		return d.signal(ctx, b, s, syscall.SIGKILL, killed...)
	case Term:
		return d.signal(ctx, b, s, syscall.SIGTERM, classCancelled)
	case Stop:
		return d.signal(ctx, b, s, syscall.SIGSTOP, classUnhealthy)
	case Nap:
		return d.nap(ctx, b, s)
	case CutLink, CutMain:
		return d.cut(ctx, b, s)
	case Shout:
		_, err := d.ask(ctx, d.now(b.Target), Command{Do: doShout, Size: shoutSize})
		return expect(), err
	case Starve, StarveUp:
		return d.starve(ctx, b, s)
	case Again:
		return d.killAgain(ctx, b, s)
	case Pair, Family:
		return d.killTwo(ctx, b, s)
	case Limit:
		return d.overLimit(ctx, b)
	case Nest:
		return expect(), d.nest(ctx, b)
	case RootKill, RootStop, RootEnd:
		return d.strikeRoot(ctx, b, s)
	}
	return nil, fmt.Errorf("there is no blow %q", b.Kind)
}

// killed is what an actor's SIGKILL may be called. A machine that is so busy that
// the process is not reaped within 50 ms of its link's end makes it a lost link.
var killed = []string{classDied, classLost}

const shoutSize = 1 << 20

// ended waits until the processes of a snapshot have ended.
func (d *driver) ended(ctx context.Context, s snapshot, names ...string) error {
	for _, name := range names {
		if err := d.await(ctx, patience, func() bool { return d.procs[s.pid[name]] == nil }); err != nil {
			return fmt.Errorf("%s (pid %d) still runs: %w", name, s.pid[name], err)
		}
	}
	return nil
}

func kill(pid int, sig syscall.Signal) error {
	if err := syscall.Kill(pid, sig); err != nil {
		return fmt.Errorf("send %v to %d: %w", sig, pid, err)
	}
	return nil
}

// signal sends a signal that ends an actor.
func (d *driver) signal(ctx context.Context, b Blow, s snapshot, sig syscall.Signal, classes ...string) (*expectation, error) {
	e := expect().ending(b.Target, classes...).withSiblings(b.Target)
	switch sig {
	case syscall.SIGTERM:
		e.refusing(b.Target)
	case syscall.SIGSTOP:
		e.silent(b.Target)
	}
	if err := kill(s.pid[b.Target], sig); err != nil {
		return e, err
	}
	return e, d.ended(ctx, s, b.Target)
}

// nap stops a process for less time than the health checks allow.
func (d *driver) nap(ctx context.Context, b Blow, s snapshot) (*expectation, error) {
	if err := kill(s.pid[b.Target], syscall.SIGSTOP); err != nil {
		return expect(), err
	}
	err := d.rest(ctx, b.Wait)
	return expect(), errors.Join(err, kill(s.pid[b.Target], syscall.SIGCONT))
}

// mainBound is when the health checks have found what is to be found: a connection
// that is broken says so at once.
const mainBound = (healthFailures + 1) * healthInterval

// cut breaks one of the two connections between an actor and its host. The end of
// the link is the end of the actor. go-plugin's connection is for the health
// checks alone by then; it may come back or not.
func (d *driver) cut(ctx context.Context, b Blow, s snapshot) (*expectation, error) {
	e := expect().ending(b.Target, classDied, classLost).withSiblings(b.Target)
	at, peer := d.now(b.Target), s.pid[parentOf(b.Target)]
	if b.AtHost {
		at, peer = d.now(parentOf(b.Target)), s.pid[b.Target]
	}
	a, err := d.ask(ctx, at, Command{Do: doCut, Peer: peer, Main: b.Kind == CutMain, How: b.Cut})
	if errors.Is(err, errEnded) {
		err = nil // it was too fast
	} else if err == nil && a.N != 1 {
		err = fmt.Errorf("%d sockets were cut, not 1", a.N)
	}
	if b.Kind == CutMain {
		e.must = false
		e.told[b.Target] = append(e.told[b.Target], pattern{classUnhealthy, b.Target})
		return e, errors.Join(err, d.rest(ctx, mainBound))
	}
	return e, errors.Join(err, d.ended(ctx, s, b.Target))
}

// starve takes the file descriptors from an actor; or from its host, which then
// has to start the actor anew and cannot, until it has descriptors again.
func (d *driver) starve(ctx context.Context, b Blow, s snapshot) (e *expectation, err error) {
	victim := b.Target
	if b.Kind == StarveUp {
		victim = parentOf(b.Target)
	}
	p := d.now(victim)
	if _, err := d.ask(ctx, p, Command{Do: doStarve}); err != nil {
		return expect(), err
	}
	defer func() {
		_, fed := d.ask(ctx, p, Command{Do: doFeed})
		err = errors.Join(err, fed)
	}()
	if b.Kind == Starve {
		return expect(), d.rest(ctx, b.Wait)
	}
	e = expect().ending(b.Target, killed...).withSiblings(b.Target)
	if err := kill(s.pid[b.Target], syscall.SIGKILL); err != nil {
		return e, err
	}
	if err := d.await(ctx, patience, func() bool { return d.startFailed(b.Target) }); err != nil {
		return e, fmt.Errorf("no start of %s has failed for want of descriptors: %w", b.Target, err)
	}
	return e, nil
}

// startFailed reports whether a start has failed, with the reason that it had.
func (d *driver) startFailed(name string) bool {
	for _, w := range d.steps {
		if w.s.Name == name && w.s.Cause == "start" && w.s.OutOfHandles && w.s.Err.Class == classStart {
			return true
		}
	}
	return false
}

// killAgain strikes the next process, too, while it boots or right after.
func (d *driver) killAgain(ctx context.Context, b Blow, s snapshot) (*expectation, error) {
	e := expect().ending(b.Target, killed...).withSiblings(b.Target)
	e.most = 2
	if err := kill(s.pid[b.Target], syscall.SIGKILL); err != nil {
		return e, err
	}
	next := 0
	err := d.await(ctx, patience, func() bool {
		p := d.now(b.Target)
		if p != nil && p.pid != s.pid[b.Target] {
			next = p.pid
		}
		return next != 0
	})
	if err != nil {
		return e, err
	}
	if err := d.rest(ctx, b.Wait); err != nil {
		return e, err
	}
	if err := kill(next, syscall.SIGKILL); err != nil {
		return e, err
	}
	return e, d.await(ctx, patience, func() bool { return d.procs[next] == nil })
}

func (d *driver) killTwo(ctx context.Context, b Blow, s snapshot) (*expectation, error) {
	e := expect()
	for _, name := range []string{b.Target, b.Other} {
		e.ending(name, killed...).withSiblings(name)
	}
	if b.Kind == Family {
		e.most = 2 // of both
	}
	err := errors.Join(kill(s.pid[b.Target], syscall.SIGKILL), kill(s.pid[b.Other], syscall.SIGKILL))
	return e, errors.Join(err, d.ended(ctx, s, b.Target, b.Other))
}

// overLimit kills an actor once more than its supervisor may restart it. That one
// fails, upward, and is restarted itself.
func (d *driver) overLimit(ctx context.Context, b Blow) (*expectation, error) {
	e := expect().ending(cliff, classLimit).ending(b.Target, killed...).refusing(cliff)
	e.most = cliffRestarts + 2 // each death, and the limit
	for range cliffRestarts {
		if err := kill(d.now(b.Target).pid, syscall.SIGKILL); err != nil {
			return e, err
		}
		struck := d.now(b.Target).pid
		if err := d.await(ctx, patience, func() bool { return d.procs[struck] == nil && d.unsettled() == "" }); err != nil {
			return e, err
		}
	}
	before := d.now(cliff).pid
	if err := kill(d.now(b.Target).pid, syscall.SIGKILL); err != nil {
		return e, err
	}
	return e, d.await(ctx, patience, func() bool { return d.procs[before] == nil })
}

// nest runs a nursery in an actor whose child cannot live, and looks at what that
// nursery returned.
func (d *driver) nest(ctx context.Context, b Blow) error {
	a, err := d.ask(ctx, d.now(b.Target), Command{Do: doNest})
	if err != nil {
		return err
	}
	if a.Verdict.Class != classLimit || a.Verdict.Who != d.now(b.Target).short || a.N != nestRestarts+1 {
		return fmt.Errorf("a nursery with %d restarts told of %d deaths and returned: %s %s: %s", nestRestarts, a.N, a.Verdict.Class, a.Verdict.Who, a.Verdict.Story)
	}
	return nil
}

// strikeRoot ends the root host, sees that nothing is left, and starts it again.
func (d *driver) strikeRoot(ctx context.Context, b Blow, s snapshot) (*expectation, error) {
	e := expect().ending(root)
	var err error
	switch b.Kind {
	case RootStop:
		err = errors.Join(kill(s.pid[b.Other], syscall.SIGSTOP), kill(s.pid[root], syscall.SIGSTOP), d.rest(ctx, b.Pause), kill(s.pid[root], syscall.SIGKILL))
	case RootEnd:
		err = kill(s.pid[root], syscall.SIGINT)
	default:
		err = kill(s.pid[root], syscall.SIGKILL)
	}
	if err != nil {
		return e, err
	}
	struck := time.Now()
	if err := d.await(ctx, patience, d.empty); err != nil {
		strays, _ := d.strays()
		return e, fmt.Errorf("the root host has ended, and %d of its processes run on: %q: %w", len(d.procs), strays, err)
	}
	if b.Kind != RootEnd {
		d.tally.orphans = append(d.tally.orphans, time.Since(struck))
	}
	d.rootDone.Wait()
	if b.Kind == RootEnd {
		if err := d.endedWell(); err != nil {
			return e, err
		}
	}
	return e, d.launch()
}

// finish is the end of a run: an interrupt works after everything, too.
func (d *driver) finish(ctx context.Context) error {
	if err := kill(d.rootCmd.Process.Pid, syscall.SIGINT); err != nil {
		return err
	}
	if err := d.await(ctx, patience, d.empty); err != nil {
		strays, _ := d.strays()
		return fmt.Errorf("the root host was interrupted at the end of the run, and %q are left: %w", strays, err)
	}
	d.rootDone.Wait()
	return d.endedWell()
}

// empty reports whether no process of the tree is left.
func (d *driver) empty() bool {
	strays, err := d.strays()
	if len(strays) == 1 && d.rootCmd != nil {
		select {
		case <-d.rootDone.Done():
		default:
			return false
		}
	}
	return err == nil && len(strays) == 0 && len(d.procs) == 0
}

// endedWell looks at what the root host has left when it ended in order.
func (d *driver) endedWell() error {
	files, err := d.filesLeft()
	if err == nil && len(files) != 1 { // TMPDIR itself: the last program of a user removes the directory that they share
		err = fmt.Errorf("the root host has left files: %q", files)
	}
	if d.rootErr != nil {
		err = errors.Join(err, fmt.Errorf("the root host was interrupted and ended with %w", d.rootErr))
	}
	return err
}
