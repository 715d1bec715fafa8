package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/page"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// viewers is the group of what those cost who look at a tree.
const viewers = "viewers"

// viewersWorkload is what somebody costs the host who looks at actors that do nothing: at their numbers once in a second, as host top
// does; and by the page of twice as many, five times a second, which is as often as that is drawn. Both are the processor time of the
// host alone, less what it takes when nobody looks. Nobody else has such a number.
func viewersWorkload(s sizes) *workload {
	few, many := s.children[len(s.children)-2], s.children[len(s.children)-1]
	row := func(what string, most float64) metric {
		return metric{name: "CPU of the host in a second, for " + what, unit: Nanoseconds, goals: []Goal{within(most, 0)}, except: Child}
	}
	w := &workload{name: viewers, group: viewers, subjects: []string{Trellis, Child}, once: true, metrics: []metric{
		row(fmt.Sprintf("a viewer at 1 Hz of %s idle actors", grouped(few)), 5e6),
		row(fmt.Sprintf("a page at 5 Hz of %s idle actors", grouped(many)), 30e6),
	}}
	w.measure = func(ctx context.Context, l *lab, subject string) (found []sample, err error) {
		if subject == Child {
			return make([]sample, len(w.metrics)), nil
		}
		if err := l.stopPeers(); err != nil { // so that the idle actors are the only ones
			return nil, err
		}
		var all []process
		defer func() { err = errors.Join(err, stopMany(all)) }()
		for i, look := range []func(context.Context, func()) error{looksAtNumbers, looksAtPage} {
			more, err := l.startInTens(ctx, Trellis, []int{few, many}[i]-len(all))
			all = append(all, more...)
			if err != nil {
				return nil, err
			}
			cost, err := costOfLooking(ctx, 3*s.idle, look) // what it does anyway differs from second to second
			if err != nil {
				return nil, err
			}
			found = append(found, sample{value: cost})
		}
		return found, nil
	}
	return w
}

// costOfLooking is the processor time of this process in a second, in nanoseconds, while somebody looks, less that while nobody does. The
// first look, which has more to ask than all others, is over before.
func costOfLooking(ctx context.Context, length time.Duration, look func(ctx context.Context, once func()) error) (float64, error) {
	without, err := ownTime(ctx, length)
	if err != nil {
		return 0, err
	}
	looking, stop := context.WithCancelCause(ctx)
	var failed error
	begun := make(chan struct{})
	viewer := task.Start(func() {
		if err := look(looking, sync.OnceFunc(func() { close(begun) })); !errors.Is(err, errMeasured) {
			failed = err
		}
	})
	select {
	case <-begun:
	case <-viewer.Done():
	}
	with, err := ownTime(ctx, length)
	stop(errMeasured)
	viewer.Wait()
	return with - without, errors.Join(err, failed)
}

// ownTime is the processor time that this process takes in a second, in nanoseconds.
func ownTime(ctx context.Context, length time.Duration) (float64, error) {
	begun := time.Now()
	before, err := processorTime(os.Getpid())
	if err != nil {
		return 0, &unavailable{err.Error()}
	}
	select {
	case <-time.After(length):
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	after, err := processorTime(os.Getpid())
	return float64(after-before) / time.Since(begun).Seconds(), err
}

// again does something at once, and then at every tick, until ctx ends, whose cause it returns. It says when that was done once.
func again(ctx context.Context, once func(), every time.Duration, do func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := do(); err != nil && ctx.Err() == nil {
			return err
		}
		once()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func looksAtNumbers(ctx context.Context, once func()) error {
	return again(ctx, once, time.Second, func() error {
		_, err := telemetry.Measure(ctx)
		return err
	})
}

// looksAtPage reads what the page of a browser does, over a connection. What the reader itself takes is part of the cost.
func looksAtPage(ctx context.Context, once func()) error {
	const token = "measured"
	var listening net.ListenConfig
	l, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: page.New(ctx, page.Options{Token: token}), ReadHeaderTimeout: time.Minute}
	var under task.Group
	under.Go(func() { _ = server.Serve(l) }) // until it is closed
	defer under.Close()
	defer func() { _ = server.Close() }() // whoever reads is told by the end of the connection
	get := func(path string) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Addr().String()+path, http.NoBody)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, answer.Body)
		if answer.StatusCode != http.StatusOK && err == nil {
			err = fmt.Errorf("%s: %s", path, answer.Status)
		}
		return errors.Join(err, answer.Body.Close())
	}
	for _, path := range []string{"/api/events", "/api/logs?follow=1&level=debug"} {
		under.Go(func() { _ = get(path) }) // it ends with ctx
	}
	return again(ctx, once, time.Second/5, func() error { return get("/api/metrics") })
}
