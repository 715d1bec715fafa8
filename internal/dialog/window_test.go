package dialog_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
)

// pours is a task that sends messages without end, and counts them. It leaves the peer a
// second to open its stream.
func pours(t *testing.T, sent *int) dialog.Task {
	return func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
		s := stream(t, d)
		time.Sleep(time.Second)
		for {
			if err := s.Send(ctx, []byte("x")); err != nil {
				return nil, err
			}
			*sent++
		}
	}
}

// A buffer has 64 messages unless somebody has set it. One that nobody has set grows for
// a reader that keeps up with its sender, up to a bound, and for no other.
func TestM05_ReceiveBuffer(t *testing.T) {
	type window = dialog.Window
	for name, c := range map[string]struct {
		context, stream window
		reads           int // before the reader stops to read
		least, most     int // messages that the sender is then ahead; up to half a window is not granted again yet
	}{
		"by default, of a reader that reads nothing": {window{}, window{}, 0, 64, 64},
		"by default, of a reader that keeps up":      {window{}, window{}, 30_000, dialog.DefaultMessages + 1, dialog.MostMessages},
		"with other bytes":                           {window{}, window{Bytes: 5 << 20}, 30_000, dialog.DefaultMessages + 1, dialog.MostMessages},
		"set for the context":                        {window{Messages: 64}, window{}, 5_000, 33, 64},
		"set for the stream":                         {window{}, window{Messages: 100}, 5_000, 51, 100},
		"set smaller for the stream":                 {window{Messages: 70}, window{Messages: 10}, 5_000, 6, 10},
		"capped for the context":                     {window{Most: 100}, window{}, 30_000, 51, 100},
		"capped for the stream":                      {window{}, window{Most: 100}, 30_000, 51, 100},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				p := newPair(t, started(pours(t, &sent)), far)
				r := dialog.Request{Endpoint: "task", Kind: dialog.Context, Window: c.context}
				err := p.parent.Scope(t.Context(), &r, func(ctx context.Context, d *dialog.Dialog) error {
					s := stream(t, d, dialog.StreamOptions{Window: c.stream})
					time.Sleep(2 * time.Second)
					// How soon a window grows depends on which goroutine runs when: it may take
					// another turn.
					ahead := 0
					for read := c.reads; read <= 50*c.reads; read += c.reads {
						for range c.reads {
							if _, err := s.Recv(ctx); err != nil {
								return err
							}
						}
						time.Sleep(time.Second)
						synctest.Wait()
						if ahead = sent - read; ahead >= c.least || c.reads == 0 {
							break
						}
					}
					if ahead < c.least || ahead > c.most {
						t.Errorf("the sender is %d messages ahead, want %d to %d", ahead, c.least, c.most)
					}
					return d.Cancel(ctx, "enough")
				})
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A reader that is slower than its sender keeps the buffer that it has.
func TestM05_ASlowReaderHasNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		p := newPair(t, started(pours(t, &sent)))
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			s := stream(t, d)
			time.Sleep(2 * time.Second)
			for read := range 1000 {
				synctest.Wait() // the sender has done what it can
				if ahead := sent - read; ahead > dialog.DefaultMessages {
					t.Fatalf("the sender is %d messages ahead after %d", ahead, read)
				}
				if _, err := s.Recv(ctx); err != nil {
					return err
				}
			}
			return d.Cancel(ctx, "enough")
		})
		if err != nil {
			t.Error(err)
		}
	})
}
