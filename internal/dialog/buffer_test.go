package dialog_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
)

// overrunCell is a stream between a side that sends and one that is slow to receive, both of
// which have a buffer of one message.
type overrunCell struct {
	slow   string // opener or callee
	allows string // who keeps what is more than that: none, opener, callee or both
	cancel bool   // the opener cancels, when all is sent
	level  string // where the buffer was set: for the actor, the context or the stream
}

func (c overrunCell) String() string {
	return fmt.Sprintf("slow %s, %s allow, cancel=%t, set for the %s", c.slow, c.allows, c.cancel, c.level)
}

func (c overrunCell) allowed(side string) bool { return c.allows == side || c.allows == "both" }

const cellMessages = 50

// play is one side's task.
func (c overrunCell) play(side string, d *dialog.Dialog) error {
	o := dialog.StreamOptions{WithoutBackpressure: true}
	if c.allowed(side) {
		o = dialog.StreamOptions{AllowOverruns: 1 << 20}
	}
	if c.level == "stream" {
		o.Window.Messages = 1
	}
	s, err := d.OpenStream(o)
	if err != nil {
		return err
	}
	time.Sleep(time.Second) // both ends are open
	if side != c.slow {
		for i := range cellMessages {
			if err := s.Send(d.Context(), fmt.Append(nil, i)); err != nil {
				return err
			}
		}
		s.CloseSend()
	}
	time.Sleep(time.Second)
	if c.cancel && side == "opener" {
		return d.Cancel(context.Background(), "enough")
	}
	for i := 0; side == c.slow; i++ {
		m, err := s.Recv(d.Context())
		if errors.Is(err, io.EOF) && i == cellMessages {
			return nil
		}
		if err != nil || string(m) != fmt.Sprint(i) {
			return fmt.Errorf("message %d is %q, %w", i, m, err)
		}
		select { // it is slow, and not deaf
		case <-time.After(time.Minute):
		case <-d.Context().Done():
			return d.Context().Err()
		}
	}
	return nil
}

// T6 · M05 M08 M09: whichever side is slow, its own word counts: with overruns allowed nothing
// is lost, else its context fails, and a cancel that comes later does not hide it.
func TestM05_BuffersOfOne(t *testing.T) {
	for _, c := range overrunCells() {
		t.Run(c.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				one := dialog.Window{Messages: 1}
				var perContext dialog.Window
				if c.level == "context" {
					perContext = one
				}
				p := newPair(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
					d.Receive(perContext, nil)
					if err := d.Started(nil); err != nil {
						return nil, err
					}
					return nil, c.play("callee", d)
				}}, func(s *setup) {
					if c.level == "actor" {
						s.window = one
					}
				})
				r := dialog.Request{Endpoint: "task", Kind: dialog.Context, Window: perContext}
				err := p.parent.Scope(t.Context(), &r, func(_ context.Context, d *dialog.Dialog) error { return c.play("opener", d) })
				if c.allowed(c.slow) {
					if err != nil {
						t.Error(err)
					}
					return
				}
				sender, receiver := p.child, p.parent
				if c.slow == "callee" {
					sender, receiver = receiver, sender
				}
				overranWith(t, err, sender, receiver, true, 1)
			})
		})
	}
}

func overrunCells() (all []overrunCell) {
	for _, slow := range []string{"opener", "callee"} {
		for _, allows := range []string{"none", "opener", "callee", "both"} {
			for _, cancel := range []bool{false, true} {
				for _, level := range []string{"actor", "context", "stream"} {
					all = append(all, overrunCell{slow, allows, cancel, level})
				}
			}
		}
	}
	return all
}

// M05 M07: and with backpressure exactly one message finds room, whether the other end is
// open or not.
func TestM05_ABufferOfOneUnderBackpressure(t *testing.T) {
	for _, level := range []string{"actor", "context", "stream"} {
		synctest.Test(t, func(t *testing.T) {
			sent := 0
			p := newPair(t, started(pours(t, &sent)), func(s *setup) {
				if level == "actor" {
					s.window.Messages = 1
				}
			})
			r := dialog.Request{Endpoint: "task", Kind: dialog.Context}
			if level == "context" {
				r.Window.Messages = 1
			}
			err := p.parent.Scope(t.Context(), &r, func(ctx context.Context, d *dialog.Dialog) error {
				var o dialog.StreamOptions
				if level == "stream" {
					o.Window.Messages = 1
				}
				s := stream(t, d, o)
				time.Sleep(2 * time.Second)
				for read := range 100 {
					synctest.Wait()
					if sent-read != 1 {
						t.Fatalf("%s: the sender is %d messages ahead after %d", level, sent-read, read)
					}
					if _, err := s.Recv(ctx); err != nil {
						return err
					}
				}
				return d.Cancel(ctx, "enough")
			})
			if err != nil {
				t.Errorf("%s: %v", level, err)
			}
		})
	}
}
