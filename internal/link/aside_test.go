package link_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// forked is a transport with a way aside. It notes what went which way, in its order, and takes the
// first packet only when it is opened.
type forked struct {
	*stalled
	mu   sync.Mutex
	went []passed
}

type passed struct {
	kind  wire.Kind
	aside bool
}

func (f *forked) note(b wire.Batch, aside bool) error {
	p, err := wire.NewPacket(b)
	if err != nil {
		return err
	}
	f.mu.Lock()
	for _, frame := range p.Frames {
		f.went = append(f.went, passed{frame.Kind, aside})
	}
	f.mu.Unlock()
	return f.stalled.Send(b)
}

func (f *forked) Send(b wire.Batch) error      { return f.note(b, false) }
func (f *forked) SendAside(b wire.Batch) error { return f.note(b, true) }

// What ends tasks and links goes aside, and everything else does not; between the two ways the order is
// what it would be on one.
func TestC21_WhatEndsThingsGoesAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &forked{stalled: newStalled()}
		l := link.New(f, link.Config{})
		l.Start(&inbox{})
		synctest.Wait() // HELLO is on its way, and all that follows waits
		kinds := []wire.Kind{
			wire.Kind_KIND_START, wire.Kind_KIND_CANCEL, wire.Kind_KIND_CREDIT, wire.Kind_KIND_ERROR, wire.Kind_KIND_FAIL,
			wire.Kind_KIND_ATTACH, wire.Kind_KIND_START, wire.Kind_KIND_CANCEL_ACK,
		}
		for i, k := range kinds {
			l.Send(link.Data, message(uint64(i+1), []byte{1}))
			l.Send(link.Control, &wire.Frame{Dialog: uint64(i + 1), Kind: k})
		}
		l.Close(nil)
		close(f.open)
		synctest.Wait()
		var control, data []passed
		for _, p := range f.went {
			if p.kind == wire.Kind_KIND_YIELD {
				data = append(data, p)
			} else {
				control = append(control, p)
			}
		}
		want := []passed{{wire.Kind_KIND_HELLO, true}}
		for _, k := range kinds {
			ends := k != wire.Kind_KIND_START && k != wire.Kind_KIND_CREDIT && k != wire.Kind_KIND_ATTACH
			want = append(want, passed{k, ends})
		}
		if want = append(want, passed{wire.Kind_KIND_BYE, true}); !slices.Equal(control, want) {
			t.Errorf("control went as %v, want %v", control, want)
		}
		if len(data) != len(kinds) || slices.Contains(data, passed{wire.Kind_KIND_YIELD, true}) {
			t.Errorf("data went as %v", data)
		}
		if last := f.went[len(f.went)-1]; last.kind != wire.Kind_KIND_BYE {
			t.Errorf("the last frame was %v", last)
		}
		l.Abort(errBoom)
		<-l.Done()
	})
}

// F06: each of these frames begins a run of 16 KiB, since the one before goes the other way. They count
// with that, so that a peer that does not read is cut off for them after 256 MiB, as for others.
func TestF06_FramesThatTakeTurnsCountWithTheirMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &forked{stalled: newStalled()}
		l := link.New(f, link.Config{})
		l.Start(&inbox{})
		synctest.Wait() // HELLO is on its way, and all that follows waits
		const most = (256 << 20) / (16 << 10)
		kinds := [2]wire.Kind{wire.Kind_KIND_START, wire.Kind_KIND_FAIL}
		frames := 0
		for frames <= 2*most && l.Send(link.Control, &wire.Frame{Dialog: uint64(frames), Kind: kinds[frames%2]}) {
			frames++
		}
		if frames < most-16 || frames > most+16 {
			t.Errorf("%d frames waited, want about %d", frames, most)
		}
		<-l.Done()
	})
}
