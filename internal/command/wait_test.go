package command

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// D07: an actor that is ready, and of which its host knows nothing, is asked for once, and then when something has become of it.
func TestD07_WaitingForHealthTurnsNoLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := directory.NewMemory("", nil)
		defer r.Finish()
		ctx := directory.With(t.Context(), r)
		publish := func(m directory.Membership, to directory.State) {
			m.Publish(directory.Event{Actor: actor.NewID("a"), Epoch: 1, To: to})
		}
		nowhere := func(directory.Entry) contract.Portal { return nil }
		gone := r.Join("a", nowhere)
		publish(gone, directory.Ready)
		asked := make(chan struct{}, 10)
		known := false
		var found *directory.Entry
		var err error
		over := make(chan struct{})
		go func() {
			defer close(over)
			found, err = awaitAsked(ctx, "a", func(path string) error {
				select {
				case asked <- struct{}{}:
				default:
					return errors.New("asked again and again")
				}
				if !known {
					return fmt.Errorf("%w: %s", directory.ErrNotFound, path)
				}
				return nil
			})
		}()
		synctest.Wait()
		if n := len(asked); n != 1 {
			t.Errorf("D07: it was asked %d times", n)
		}
		publish(gone, directory.Gone)
		synctest.Wait()
		known = true
		publish(r.Join("a", nowhere), directory.Ready)
		<-over
		if err != nil || found.State != directory.Ready || len(asked) > 3 {
			t.Errorf("D07: found %v, %v; asked %d times", found, err, len(asked))
		}
	})
}

// D04: whoever waits for a name that nobody has is told who is there: on a terminal soon, and elsewhere when the time is over.
func TestD04_WaitingForANameThatNobodyHas(t *testing.T) {
	for _, drawn := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := directory.NewMemory("", nil)
			defer r.Finish()
			ctx := directory.With(t.Context(), r)
			m := r.Join("greeter", func(directory.Entry) contract.Portal { return nil })
			publish := func(to directory.State) {
				m.Publish(directory.Event{Actor: actor.NewID("greeter"), Epoch: 1, To: to})
			}
			publish(directory.Starting)
			var screen bytes.Buffer
			p := &program{progress: newProgress(&screen)}
			p.progress.drawn = drawn
			late := p.missing(ctx, "greter")
			coming := p.missing(ctx, "greeter")
			time.Sleep(11 * time.Second)
			synctest.Wait()
			want := `actor not found: "greter"; there are greeter; did you mean "greeter"?`
			if err := late(); !errors.Is(err, directory.ErrNotFound) || err.Error() != want {
				t.Errorf("D04: %v, want %s", err, want)
			}
			publish(directory.Ready)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if err := coming(); err != nil {
				t.Errorf("D04: %v", err)
			}
			for _, want := range []string{"waiting: " + want, "waiting: actor not found: none named \"greeter\" is ready; greeter is starting"} {
				if strings.Contains(screen.String(), want) != drawn {
					t.Errorf("D04: drawn %v: %q, want %q", drawn, screen.String(), want)
				}
			}
		})
	}
}
