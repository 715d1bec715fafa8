package etcd

import (
	"context"
	"iter"
	"reflect"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// watcher is one Watch: a snapshot, and then what etcd tells from its revision on.
//
// In between it asks for the stream's progress and for the registry's revision. When the first is not answered, it follows anew from where
// it was; when the second has gone back, or nothing was heard for as long as a lease, so that the registry
// may have been restored from an earlier state, it begins with another snapshot.
type watcher struct {
	r        *Registry
	ctx      context.Context
	prefix   string
	yield    func(fleet.Change, error) bool
	known    map[string]fleet.Entry
	revision int64         // up to which all has been told; 0: nothing has
	cluster  uint64        // that has told it
	heard    time.Duration // when the registry has last answered
	stream   time.Duration // when this stream has
	left     bool          // the loop was left
}

// Watch implements [fleet.Registry].
func (r *Registry) Watch(ctx context.Context, prefix string) iter.Seq2[fleet.Change, error] {
	return func(yield func(fleet.Change, error) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(r.ctx, func() { cancel(fleet.ErrClosed) })()
		w := &watcher{r: r, ctx: ctx, prefix: prefix, yield: yield, known: map[string]fleet.Entry{}}
		if err := w.run(); err != nil && !w.left {
			yield(fleet.Change{}, err)
		}
	}
}

func (w *watcher) say(c fleet.Change) bool {
	w.left = w.left || !w.yield(c, nil)
	return !w.left
}

// run returns when the loop is left, or why the watch has ended.
func (w *watcher) run() error {
	var warned warnings
	for first := true; !w.left; first = false {
		err := w.begin(first)
		for err == nil && !w.left && now()-w.heard < w.r.settings.TTL {
			warned.over()
			if again, failed := w.follow(); !again || failed != nil {
				err = failed
				break
			}
			err = w.pause()
		}
		if w.ctx.Err() != nil {
			return context.Cause(w.ctx)
		}
		if err != nil {
			if !temporary(err) {
				return w.r.failure(w.ctx, "watching "+w.prefix, err)
			}
			if warned.due(now()) {
				w.r.settings.Log("what happens to "+w.prefix+"… is not seen at the moment", w.r.failure(w.ctx, "watching", err))
			}
			if err := w.pause(); err != nil {
				return err
			}
		}
	}
	return nil
}

// pause is between attempts.
func (w *watcher) pause() error {
	select {
	case <-time.After(100 * time.Millisecond):
		return nil
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
}

// begin tells what is there.
func (w *watcher) begin(first bool) error {
	all, header, err := w.r.snapshot(w.ctx, w.prefix)
	if err != nil {
		return err
	}
	if w.revision > 0 && !first && !w.say(fleet.Change{Kind: fleet.Reset}) {
		return nil
	}
	clear(w.known)
	w.revision, w.cluster, w.heard = header.Revision, header.ClusterId, now()
	for _, e := range all {
		w.known[e.Name] = e
		if !w.say(fleet.Change{Kind: fleet.Held, Entry: e}) {
			return nil
		}
	}
	w.say(fleet.Change{Kind: fleet.Current})
	return nil
}

// follow tells what happens. It reports whether the same can be followed from where it was left; if not, what is there has to be
// told anew. Its error is the server's.
func (w *watcher) follow() (again bool, err error) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(w.ctx))
	changes := make(chan clientv3.WatchResponse, mostBehind)
	from := w.r.client.Watch(ctx, w.r.prefix+w.prefix, clientv3.WithPrefix(), clientv3.WithRev(w.revision+1))
	taking := task.Start(func() { take(ctx, from, changes) })
	defer func() {
		cancel()
		taking.Wait()
	}()
	every := min(w.r.settings.TTL/5, 2*time.Second)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	w.stream = now()
	for {
		select {
		case resp, open := <-changes:
			if !open {
				return true, nil
			}
			if again, err, done := w.answer(resp); done {
				return again, err
			}
		case <-ticker.C:
			if same, err := w.check(ctx, every); !same || err != nil {
				return false, err
			}
			if now()-w.stream > 3*every {
				return true, nil
			}
		case <-ctx.Done():
			return true, nil
		}
	}
}

// mostBehind is how many answers of a stream wait for a loop that is slow. What comes beyond them is asked for again.
const mostBehind = 256

// take hands answers on until there are too many, since the client keeps any number of them.
func take(ctx context.Context, from clientv3.WatchChan, to chan<- clientv3.WatchResponse) {
	defer close(to)
	for {
		select {
		case resp, open := <-from:
			if !open || len(to) == cap(to) {
				return
			}
			to <- resp
		case <-ctx.Done():
			return
		}
	}
}

// check reports whether the registry is still the one that the watcher has seen, as far as it answers.
func (w *watcher) check(ctx context.Context, patience time.Duration) (same bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	seen := w.revision
	resp, err := w.r.client.Get(ctx, w.r.prefix, clientv3.WithCountOnly())
	if err == nil {
		if resp.Header.ClusterId != w.cluster || resp.Header.Revision < seen || now()-w.heard > w.r.settings.TTL {
			return false, nil
		}
		w.heard = now()
		err = w.r.client.RequestProgress(ctx)
	}
	if err != nil && !temporary(err) {
		return false, err
	}
	return true, nil
}

// answer tells one response. It reports whether following is over.
func (w *watcher) answer(resp clientv3.WatchResponse) (again bool, err error, done bool) {
	late := now()-w.heard > w.r.settings.TTL
	switch err := resp.Err(); {
	case resp.CompactRevision != 0 || late: // what was in between is not there any more, or cannot be trusted
		return false, nil, true
	case err != nil && !temporary(err):
		return false, err, true
	case err != nil:
		return true, nil, true
	case resp.Header.ClusterId != w.cluster: // a lower revision may be that of a server which is behind
		return false, nil, true
	}
	w.heard, w.stream = now(), now()
	for _, e := range resp.Events {
		if !w.tell(e) {
			return false, nil, true
		}
	}
	w.revision = max(w.revision, resp.Header.Revision)
	return false, nil, false
}

// tell tells one event.
func (w *watcher) tell(event *clientv3.Event) bool {
	name := strings.TrimPrefix(string(event.Kv.Key), w.r.prefix)
	last, held := w.known[name]
	if event.Type == clientv3.EventTypeDelete {
		delete(w.known, name)
		return !held || w.say(fleet.Change{Kind: fleet.Released, Entry: last})
	}
	e, err := w.r.decode(event.Kv)
	if err != nil {
		w.r.settings.Log("a key is left out", err)
		return true
	}
	kind := fleet.Held
	if event.IsModify() {
		if reflect.DeepEqual(last, e) { // a host's key is written with each of its names
			return true
		}
		kind = fleet.Changed
	}
	w.known[name] = e
	return w.say(fleet.Change{Kind: kind, Entry: e})
}
