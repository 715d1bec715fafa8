package link_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/lab/pipe"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// inbox keeps what a link receives.
type inbox struct {
	mu     sync.Mutex
	frames []*wire.Frame
	err    error // what Frame says to each of them
}

func (in *inbox) Frame(f *wire.Frame) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	kept := &wire.Frame{ // f is the transport's again
		Dialog: f.Dialog, Kind: f.Kind, Payload: f.Payload, More: f.More, Probe: f.Probe, Deaf: f.Deaf, Yields: f.Yields,
		Credit: f.Credit, Start: f.Start, Window: f.Window, Overflow: f.Overflow, Fault: f.Fault, Cancel: f.Cancel, Hello: f.Hello,
	}
	in.frames = append(in.frames, kept)
	return in.err
}

func (in *inbox) PacketEnd() {}
func (in *inbox) Drained()   {}

func (in *inbox) all() []*wire.Frame {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.frames
}

// end is one end of a link with its inbox.
type end struct {
	*link.Link
	in *inbox
}

func newEnd(tr link.Transport, name string, limit int) end {
	e := end{link.New(tr, link.Config{Self: actor.NewID(name), Dialled: name == "b", MaxMessage: limit}), &inbox{}}
	e.Start(e.in)
	return e
}

// newLink makes the two ends of a link; whatever the test does, both must be done
// at its end.
func newLink(t testing.TB, limits ...int) (a, b end) {
	t.Helper()
	limits = append(limits, 0, 0)
	ta, tb := pipe.New()
	a, b = newEnd(ta, "a", limits[0]), newEnd(tb, "b", limits[1])
	<-a.Greeted()
	<-b.Greeted()
	t.Cleanup(func() {
		a.Close(nil)
		<-a.Done()
		<-b.Done()
	})
	return a, b
}

func message(id uint64, payload []byte) *wire.Frame {
	return &wire.Frame{Dialog: id, Kind: wire.Kind_KIND_YIELD, Payload: payload}
}

var errBoom = errors.New("boom")

func TestEndsIntroduceThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newLink(t, 1<<20, 2<<20)
		if !a.Peer().Is(b.Self()) || !b.Peer().Is(a.Self()) || a.Peer().Name != "b" {
			t.Errorf("a is linked with %v, b with %v", a.Peer(), b.Peer())
		}
		if a.MaxMessage() != 1<<20 || b.MaxMessage() != 1<<20 {
			t.Errorf("limits %d and %d: the smaller one counts", a.MaxMessage(), b.MaxMessage())
		}
		if a.Dialled() || !b.Dialled() {
			t.Error("who dialled?")
		}
	})
}

func TestFramesKeepTheirOrderAndWholePayloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newLink(t)
		sizes := []int{0, 1, 128 << 10, 128<<10 + 1, 1 << 20, 3<<20 + 7, 5}
		for i, size := range sizes {
			a.Send(link.Data, message(uint64(i+1), bytes.Repeat([]byte{byte(i)}, size)))
		}
		synctest.Wait()
		got := b.in.all()
		if len(got) != len(sizes) {
			t.Fatalf("%d frames, want %d", len(got), len(sizes))
		}
		for i, f := range got {
			if f.Dialog != uint64(i+1) || !bytes.Equal(f.Payload, bytes.Repeat([]byte{byte(i)}, sizes[i])) {
				t.Errorf("frame %d: of dialog %d, %d bytes", i, f.Dialog, len(f.Payload))
			}
		}
	})
}

// C21 begins here: a control frame does not wait for the data that was queued
// before it, nor for the rest of a large payload.
func TestC21_ControlGoesBeforeData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ta, tb := pipe.New()
		a := newEnd(ta, "a", 0)
		for range 10 {
			a.Send(link.Data, message(1, make([]byte, 10<<20)))
		}
		synctest.Wait() // the pipe is full, nobody reads
		a.Send(link.Control, &wire.Frame{Dialog: 2, Kind: wire.Kind_KIND_CANCEL})
		before := 0
		var cancelled bool
		reader := task.Start(func() {
			for {
				p, err := tb.Recv()
				if err != nil {
					return
				}
				for _, f := range p.Frames {
					cancelled = cancelled || f.Kind == wire.Kind_KIND_CANCEL
					if !cancelled {
						before += len(f.Payload)
					}
				}
			}
		})
		synctest.Wait()
		a.Abort(errBoom)
		reader.Wait()
		<-a.Done()
		if !cancelled || before > 3<<20 {
			t.Errorf("the cancel came: %t, after %d bytes of 100 MiB", cancelled, before)
		}
	})
}

func TestControlDoesNotStarveData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ta, tb := pipe.New()
		a := newEnd(ta, "a", 0)
		synctest.Wait()
		a.Send(link.Data, message(1, nil))
		first := 0
		for packet := 0; packet < 5 && first == 0; packet++ {
			for range 40 { // more than a packet takes, all the time
				a.Send(link.Control, &wire.Frame{Dialog: 2, Kind: wire.Kind_KIND_RETURN, Payload: make([]byte, 10<<10)})
			}
			synctest.Wait()
			p, err := tb.Recv()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range p.Frames {
				if f.Kind == wire.Kind_KIND_YIELD {
					first = packet
				}
			}
		}
		if first == 0 {
			t.Error("the message did not go out in five packets")
		}
		a.Abort(errBoom)
		<-a.Done()
	})
}

// P06 at this level: what was sent before Close arrives before the Bye, and what
// the peer still sends meanwhile is not lost either.
func TestP06_CloseDeliversWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newLink(t)
		for range 100 {
			a.Send(link.Data, message(1, make([]byte, 200<<10)))
			b.Send(link.Data, message(1, make([]byte, 200<<10)))
		}
		a.Close(errBoom)
		if a.Send(link.Control, message(1, nil)) {
			t.Error("a link that is closing took a frame")
		}
		<-a.Done()
		<-b.Done()
		if len(a.in.all()) != 100 || len(b.in.all()) != 100 {
			t.Errorf("%d and %d frames arrived", len(a.in.all()), len(b.in.all()))
		}
		if a.Err() != nil || b.Err() != nil {
			t.Errorf("an orderly end with %v and %v", a.Err(), b.Err())
		}
		if ok, reason := b.Farewell(); !ok || reason == nil {
			t.Errorf("the farewell: %v", reason)
		}
		if ok, reason := a.Farewell(); !ok || reason != nil {
			t.Errorf("the answer to the farewell: %v", reason)
		}
	})
}

// F01 at this level: a cut ends both sides, with a reason, and hangs nothing.
func TestF01_AbortEndsBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		a, b := newLink(t)
		for range 100 {
			a.Send(link.Data, message(1, make([]byte, 1<<20)))
		}
		a.Abort(errBoom)
		<-a.Done()
		<-b.Done()
		if !errors.Is(a.Err(), errBoom) || b.Err() == nil {
			t.Errorf("it ended with %v and %v", a.Err(), b.Err())
		}
		if ok, _ := b.Farewell(); ok {
			t.Error("a cut with a farewell")
		}
		if a.Abort(errors.New("again")); !errors.Is(a.Err(), errBoom) {
			t.Errorf("the first reason does not stay: %v", a.Err())
		}
		if time.Since(began) != 0 {
			t.Errorf("it took %v", time.Since(began))
		}
	})
}

// One side closes its sending half without a word: that is a loss.
func TestF01_HalfCloseWithoutByeIsALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ta, tb := pipe.New()
		a := newEnd(ta, "a", 0)
		if err := tb.CloseSend(); err != nil {
			t.Fatal(err)
		}
		<-a.Done()
		if a.Err() == nil {
			t.Error("the link ended in order")
		}
	})
}

func TestC16_PeerThatGoesOnIsCutOffWithAReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newLink(t)
		a.in.err = fmt.Errorf("%w: nonsense", fault.ErrProtocol)
		for range 31 {
			b.Send(link.Data, message(1, nil))
		}
		synctest.Wait()
		if a.Err() != nil {
			t.Fatalf("cut off early: %v", a.Err())
		}
		b.Send(link.Data, message(1, nil))
		<-a.Done()
		<-b.Done()
		if !errors.Is(a.Err(), fault.ErrProtocol) {
			t.Errorf("cut off with %v", a.Err())
		}
		if ok, reason := b.Farewell(); !ok || !errors.Is(reason, fault.ErrProtocol) {
			t.Errorf("the peer was told %v", reason)
		}
	})
}

// A peer that was cut off and does not take the reason holds nobody up.
func TestC16_CutOffPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ta, tb := pipe.New()
		a := newEnd(ta, "a", 0)
		for range 10 {
			a.Send(link.Data, message(1, make([]byte, 1<<20)))
		}
		began := time.Now()
		b, err := wire.AppendFrame(nil, message(1, nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := tb.Send(wire.Batch{b}); err != nil {
			t.Fatal(err)
		}
		<-a.Done()
		if took := time.Since(began); took != time.Second {
			t.Errorf("it was let go of after %v, want 1s", took)
		}
	})
}

func TestManySendersAndAClose(t *testing.T) {
	for range 20 {
		a, b := newLink(t)
		var group task.Group
		sent := make([]int, 8)
		for g := range sent {
			group.Go(func() {
				for a.Send(link.Lane(g%2), message(uint64(g+1), []byte("x"))) && sent[g] < 500 {
					sent[g]++
				}
			})
		}
		group.Go(func() { a.Close(nil); b.Close(nil) })
		group.Close()
		<-b.Done()
		total := 0
		for _, n := range sent {
			total += n
		}
		if got := len(b.in.all()); got < total {
			t.Fatalf("%d frames arrived, %d were taken", got, total)
		}
	}
}

// D06: an end that is known is nobody else, by its name neither: that stands in events and in errors.
func TestD06_TheOtherEndIsWhoItIs(t *testing.T) {
	known := actor.ID{Name: "peer", UUID: "1", PID: 7}
	for _, said := range []actor.ID{{Name: "peer", UUID: "1", PID: 8}, {Name: "root", UUID: "1"}, {Name: "peer", UUID: "2"}} {
		near, far := pipe.New()
		l, peer := link.New(near, link.Config{Self: actor.NewID("a"), Peer: known}), link.New(far, link.Config{Self: said})
		l.Start(&inbox{})
		peer.Start(&inbox{})
		if said.Is(known) && said.Name == known.Name {
			<-l.Greeted()
			l.Abort(errBoom)
			if got := l.Peer(); got != known {
				t.Errorf("D06: it is %+v, want %+v", got, known)
			}
		}
		<-l.Done()
		<-peer.Done()
		if err := l.Err(); !errors.Is(err, errBoom) && !errors.Is(err, fault.ErrProtocol) {
			t.Errorf("D06: %v says that it is %+v: %v", known, said, err)
		}
	}
}
