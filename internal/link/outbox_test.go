package link_test

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"weak"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// stalled is a transport to a peer that does not read until it is opened.
type stalled struct {
	open chan struct{} // closed: the peer reads
	cut  chan struct{} // closed: aborted
	once sync.Once

	mu    sync.Mutex
	sizes []int // of the batches, in bytes
	kinds []wire.Kind
}

func newStalled() *stalled {
	return &stalled{open: make(chan struct{}), cut: make(chan struct{})}
}

func (s *stalled) Send(b wire.Batch) error {
	p, err := wire.NewPacket(b)
	if err != nil {
		return err
	}
	size := 0
	for _, part := range b {
		size += len(part)
	}
	s.mu.Lock()
	s.sizes = append(s.sizes, size)
	for _, f := range p.Frames {
		s.kinds = append(s.kinds, f.Kind)
	}
	s.mu.Unlock()
	select {
	case <-s.open:
		return nil
	case <-s.cut:
		return errors.New("cut")
	}
}

func (s *stalled) Recv() (*wire.Packet, error) { <-s.cut; return nil, io.EOF }
func (s *stalled) CloseSend() error            { return nil }
func (s *stalled) Abort()                      { s.once.Do(func() { close(s.cut) }) }

// drained is an inbox that counts what Drained tells it.
type drained struct {
	inbox
	times int
}

func (d *drained) Drained() { d.times++ }

// stall gives a link whose writer waits for the peer with the greeting.
func stall() (*link.Link, *stalled, *drained) {
	tr, in := newStalled(), &drained{}
	l := link.New(tr, link.Config{Self: actor.NewID("a")})
	l.Start(in)
	synctest.Wait()
	return l, tr, in
}

func failure(size int) *wire.Frame {
	return &wire.Frame{Dialog: 1, Kind: wire.Kind_KIND_ERROR, Fault: &wire.Fault{Nodes: []*wire.Node{{Message: strings.Repeat("x", size)}}}}
}

// What waits for a slow peer goes out in batches of about 256 KiB, whatever it is:
// gRPC takes no larger message than MaxPacket.
func TestBatchesAreBounded(t *testing.T) {
	small := &wire.Frame{Dialog: 1, Kind: wire.Kind_KIND_CANCEL_ACK}
	for name, c := range map[string]struct {
		f      *wire.Frame
		frames int
	}{
		"small": {small, 1000}, "errors": {failure(5000), 400}, "large errors": {failure(100_000), 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, tr, _ := stall()
				for range c.frames {
					if !l.Send(link.Control, c.f) {
						t.Fatal("it was not taken")
					}
				}
				close(tr.open)
				synctest.Wait()
				for _, size := range tr.sizes {
					if size > 512<<10 {
						t.Errorf("a batch has %d bytes", size)
					}
				}
				if n := len(tr.kinds); n != c.frames+1 { // the greeting is the first
					t.Errorf("%d frames went out, %d were put", n, c.frames+1)
				}
				l.Abort(errBoom)
				<-l.Done()
			})
		})
	}
}

// R6: what waits is bounded, and not what was never read: a peer that makes this end answer
// and reads a little now and then is cut off before its answers fill the memory; one that
// reads them is not, however many it asks for.
func TestR6_PeerThatDoesNotReadItsAnswersIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, tr, _ := stall()
		answer := &wire.Frame{Dialog: 1, Kind: wire.Kind_KIND_RETURN, Payload: make([]byte, 64<<20)}
		taken := 0
		for l.Send(link.Answer, answer) {
			select {
			case tr.open <- struct{}{}: // it has read a packet
				synctest.Wait()
			case <-tr.cut:
			}
			if taken++; taken > 8 {
				t.Fatal("more than 512 MiB wait")
			}
		}
		<-l.Done()
		if err := l.Err(); err == nil || !strings.Contains(err.Error(), "the peer does not read") {
			t.Errorf("the link ended with %v", err)
		}
		if taken != 4 {
			t.Errorf("it was cut off after %d MiB, want 256", taken*64)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l, tr, _ := stall()
		close(tr.open)
		answer := &wire.Frame{Dialog: 1, Kind: wire.Kind_KIND_RETURN, Payload: make([]byte, 64<<20)}
		for range 8 {
			if !l.Send(link.Answer, answer) {
				t.Fatal("it was cut off")
			}
			synctest.Wait() // it reads all
		}
		l.Abort(errBoom)
		<-l.Done()
	})
}

// What waits is told to those who could go on without end, and so is its end. Answers and
// data are two accounts.
func TestCongestion(t *testing.T) {
	for lane, other := range map[link.Lane]link.Lane{link.Data: link.Answer, link.Answer: link.Data, link.Control: link.Data} {
		synctest.Test(t, func(t *testing.T) {
			l, tr, in := stall()
			for range 7 {
				l.Send(lane, message(3, make([]byte, 1<<20)))
				l.Send(other, message(1, make([]byte, 1<<20)))
			}
			if l.Congested(lane) || l.Congested(other) {
				t.Error("less than 8 MiB are called too much")
			}
			l.Send(lane, message(1, make([]byte, 1<<20+1)))
			if !l.Congested(lane) || l.Congested(other) {
				t.Errorf("more than 8 MiB wait in one lane: congested %v, the other one %v", l.Congested(lane), l.Congested(other))
			}
			if in.times != 0 {
				t.Error("it is said to be drained")
			}
			close(tr.open)
			synctest.Wait()
			if l.Congested(lane) || in.times != 1 {
				t.Errorf("all has gone out: congested %v, said to be drained %d times", l.Congested(lane), in.times)
			}
			l.Abort(errBoom)
			<-l.Done()
		})
	}
}

// A link that was cut keeps nothing of what was to go out.
func TestAbortLetsGoOfWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, _ := stall()
		large := make([]byte, 1<<20)
		kept := weak.Make(&large[0])
		l.Send(link.Data, message(1, large))
		l.Abort(errBoom)
		<-l.Done()
		runtime.GC()
		if kept.Value() != nil {
			t.Error("the link still has a message that will never go out")
		}
		runtime.KeepAlive(l)
	})
}

// A frame that cannot be encoded ends the link, with the reason, whatever waits.
func TestFrameThatCannotBeEncodedEndsTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, _ := stall()
		l.Send(link.Control, &wire.Frame{Dialog: 1, Kind: wire.Kind_KIND_CANCEL_ACK})
		l.Send(link.Data, message(1, []byte("x")))
		bad := &wire.Frame{Dialog: 1, Kind: wire.Kind_KIND_ERROR, Fault: &wire.Fault{Nodes: []*wire.Node{{Message: "\xff"}}}}
		if l.Send(link.Control, bad) {
			t.Error("it was taken")
		}
		<-l.Done()
		if err := l.Err(); err == nil || !strings.Contains(err.Error(), "UTF-8") {
			t.Errorf("the link ended with %v", err)
		}
	})
}
