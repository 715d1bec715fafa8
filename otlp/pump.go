package otlp

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Bounds of a request, and of what waits to be in the next one.
const (
	mostInBatch = 512
	mostBytes   = 2 << 20 // collectors take 4 MiB, if nothing else is set there
	collecting  = time.Second
)

// The pause after a failed request doubles from the first to the longest, unless the collector says how long it
// wants to be left alone.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 10 * time.Second
)

// tellEvery is how often it is told that something was lost, at most.
const tellEvery = 10 * time.Second

// pump sends what a loop gives, in batches, to a collector. One goroutine reads, and waits
// while the other one does not take what it has read; that one sends. What the reader is too slow for its source does
// not keep, and counts. The fields below tell are the sender's own.
type pump[T any] struct {
	what string // it sends, for people
	to   string // the endpoint
	size func(*T) int
	send func(ctx context.Context, batch []T) (refused int64, why string, err error)
	tell func(level slog.Level, text string, attrs ...slog.Attr)

	items   chan item[T]
	failing error // the last failure; nil if the collector has taken something since
	lost    int64
	why     string    // the last ones were lost
	told    time.Time // when it was last told that some were
}

// item is what a loop gives, or how many of it were lost before the next one.
type item[T any] struct {
	value  T
	missed int
}

func newPump[T any](what, to string, size func(*T) int, send func(ctx context.Context, batch []T) (int64, string, error),
	tell func(level slog.Level, text string, attrs ...slog.Attr),
) *pump[T] {
	return &pump[T]{what: what, to: to, size: size, send: send, tell: tell, items: make(chan item[T], mostInBatch)}
}

// read hands on what a loop gives, until that ends. The last of it is sent when settled is closed.
func (p *pump[T]) read(all iter.Seq2[T, error], settled <-chan struct{}) {
	defer func() {
		<-settled
		close(p.items)
	}()
	for value, err := range all {
		next := item[T]{value: value}
		if lagged, ok := errors.AsType[*fault.Lagged](err); ok {
			next.missed = lagged.Missed
		} else if err != nil { // it is the last thing that the loop gives
			p.tell(slog.LevelError, "no more "+p.what+" go to the collector", slog.String("endpoint", p.to), slog.String("error", fault.Line(err)))
			return
		}
		p.items <- next // run takes all of them
	}
}

// run sends what was read, until there is no more. Once ctx has ended, that is only counted.
func (p *pump[T]) run(ctx context.Context) {
	for more := true; more; {
		var batch []T
		if batch, more = p.gather(); len(batch) > 0 {
			p.deliver(ctx, batch)
		}
		p.account(!more)
	}
}

// gather waits for something to send, and a while for more of it. It reports false if nothing comes after it.
func (p *pump[T]) gather() (batch []T, more bool) {
	var late <-chan time.Time
	for size := 0; len(batch) < mostInBatch && size < mostBytes; {
		select {
		case next, ok := <-p.items:
			switch {
			case !ok:
				return batch, false
			case next.missed > 0:
				p.lose(int64(next.missed), "the collector takes them more slowly than they come")
				continue
			}
			batch = append(batch, next.value)
			size += p.size(&next.value)
			if late == nil {
				late = time.After(collecting)
			}
		case <-late:
			return batch, true
		}
	}
	return batch, true
}

// deliver sends a batch, again and again while the collector may take it later. It is not given up for those that
// come after it: which of them are lost is for their source to say.
func (p *pump[T]) deliver(ctx context.Context, batch []T) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		refused, why, err := p.send(ctx, batch)
		wish, passes := passing(err)
		switch {
		case err == nil:
			p.works()
			p.lose(refused, why)
			return
		case ctx.Err() != nil:
			p.lose(int64(len(batch)), p.over(ctx))
			return
		case !passes:
			p.fails("the collector refuses "+p.what, err)
			p.lose(int64(len(batch)), err.Error())
			return
		}
		p.fails("the collector does not take "+p.what+", which wait for it", err)
		select {
		case <-time.After(max(wish, pause-rand.N(pause/4))): //nolint:gosec // that they do not all come at once is no secret
		case <-ctx.Done():
		}
	}
}

// fails tells that the collector has stopped to take anything, once.
func (p *pump[T]) fails(text string, err error) {
	if p.failing == nil {
		p.tell(slog.LevelWarn, text, slog.String("endpoint", p.to), slog.String("error", err.Error()))
	}
	p.failing = err
}

// over is why nothing more is sent when ctx has ended, with what was wrong until then.
func (p *pump[T]) over(ctx context.Context) string {
	why := context.Cause(ctx).Error()
	if p.failing != nil {
		why += "; until then the collector did not take them: " + p.failing.Error()
	}
	return why
}

func (p *pump[T]) works() {
	if p.failing != nil {
		p.tell(slog.LevelInfo, "the collector takes "+p.what+" again", slog.String("endpoint", p.to))
	}
	p.failing = nil
}

func (p *pump[T]) lose(n int64, why string) {
	if n > 0 {
		p.lost, p.why = p.lost+n, why
	}
}

// account tells how many were lost, when the collector takes others, and at the end.
func (p *pump[T]) account(end bool) {
	if p.lost == 0 || !end && (p.failing != nil || time.Since(p.told) < tellEvery) {
		return
	}
	p.tell(slog.LevelWarn, p.what+" have not reached the collector", slog.Int64("missed", p.lost), slog.String("reason", p.why), slog.String("endpoint", p.to))
	p.lost, p.told = 0, time.Now()
}
