package page

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Bounds of what is kept. An event takes some hundred bytes, one of an actor that becomes ready its endpoints as well: 16 KiB at most.
const (
	mostEvents = 4096
	mostBytes  = 8 << 20 // of their lines
)

// feed has the last events of the tree, each encoded once for all who look, and what the tree was before them: the fold of
// all that are not kept any more. So whoever begins to look has all of the tree, and whoever comes back what was told meanwhile.
//
// It begins with the first reader, and ends with the tree. mu guards all below it.
type feed struct {
	ctx   context.Context
	begin sync.Once

	mu      sync.Mutex
	before  directory.Table
	kept    []told
	first   int         // the number of kept[0]; they begin with 1
	bytes   int         // of the lines of kept
	changed task.Change // to another one, or the end
	ended   error
}

// told is an event, as the line of host events, or that some are missing.
type told struct {
	id    int // 0: it is part of what was before
	event directory.Event
	line  []byte
	lost  int
}

func (f *feed) init(ctx context.Context) { f.ctx, f.first = ctx, 1 }

// follow adds what happens. Its reader in the registry is never behind for long: it encodes and appends.
func (f *feed) follow() {
	var err error
	for e, failed := range directory.From(f.ctx).Watch(task.Unhurried(f.ctx), "") {
		lagged, behind := errors.AsType[*fault.Lagged](failed)
		switch {
		case behind:
			f.add(told{lost: lagged.Missed})
		case failed != nil:
			err = failed
		case e.Path != "" && !document.IsCommand(&e):
			if line, failed := json.Marshal(e); failed == nil { // of strings and numbers it cannot fail
				f.add(told{event: e, line: line})
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended = err; err == nil {
		f.ended = errTreeEnded
	}
	f.changed.Tell()
}

var errTreeEnded = errors.New("the tree has ended")

func (f *feed) add(t told) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.kept) == mostEvents || f.bytes > mostBytes {
		f.fold(len(f.kept)/8 + 1)
	}
	t.id = f.first + len(f.kept)
	f.kept, f.bytes = append(f.kept, t), f.bytes+len(t.line)
	f.changed.Tell()
}

// fold makes the oldest ones part of what the tree was. Who reads has the list as it was, and so another one takes its place.
func (f *feed) fold(n int) {
	for _, old := range f.kept[:n] {
		f.bytes -= len(old.line)
		if old.lost == 0 {
			f.before.Apply(old.event)
		}
	}
	f.kept, f.first = slices.Clone(f.kept[n:]), f.first+n
}

// after gives what was told after an id, and what tells of more. Where that is not kept any more, or was never told, all is given
// from the beginning: how the tree was, and then what is kept. lost is whether events are missing between the id and that.
func (f *feed) after(id int) (all []told, lost bool, changed <-chan struct{}, err error) {
	f.begin.Do(func() { task.Start(f.follow) }) // it ends with the tree
	f.mu.Lock()
	defer f.mu.Unlock()
	if id >= f.first-1 && id < f.first+len(f.kept) && id > 0 {
		return f.kept[id-f.first+1:], false, f.changed.Next(), f.ended
	}
	for _, e := range f.before.Entries("") {
		if line, err := json.Marshal(e.Last); err == nil { // the same
			all = append(all, told{event: e.Last, line: line})
		}
	}
	return append(all, f.kept...), id > 0, f.changed.Next(), f.ended
}
