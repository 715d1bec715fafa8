package host_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// lie makes an actor tell its host events that it makes up.
var lie = contract.Func[string, string]("lie")

// said is an event as a program in any language writes it.
type said struct {
	Event  map[string]any `json:"event,omitempty"`
	Fault  []byte         `json:"fault,omitempty"`
	Missed int            `json:"missed,omitempty"`
}

func saidOf(path, to string) said {
	return said{Event: map[string]any{"time": time.Now(), "path": path, "to": to, "epoch": 1, "actor": actor.NewID("x")}}
}

func encoded(v any) []byte {
	b := wire.NewBuffer(0)
	if err := codecs.CBOR.Marshal(b, v, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// lies are what a hostile actor tells.
var lies = map[string]func(send func([]byte) error) error{
	"of others": func(send func([]byte) error) error { return send(encoded(saidOf("../victim", "gone"))) },
	"of itself": func(send func([]byte) error) error { return send(encoded(saidOf("", "gone"))) },
	"rubbish":   func(send func([]byte) error) error { return send([]byte("\xff\x00 rubbish")) },
	"a state":   func(send func([]byte) error) error { return send(encoded(saidOf("leaf", "triumphant"))) },
	"a large text": func(send func([]byte) error) error {
		m := saidOf("leaf", "ready")
		m.Event["reason"] = strings.Repeat("x", 1<<20)
		return send(encoded(m))
	},
	"a fault": func(send func([]byte) error) error {
		m := saidOf("leaf", "ready")
		m.Fault = []byte("\xff\xff rubbish")
		return send(encoded(m))
	},
	"actors without end": func(send func([]byte) error) error {
		for n := range 10_000 {
			if err := send(encoded(saidOf("leaf#"+strings.Repeat("1", 1+n%9)+"/"+strings.Repeat("x", 1+n/9%60)+"/y"+strings.Repeat("z", n/540), "ready"))); err != nil {
				return err
			}
		}
		return nil
	},
}

// telling is the endpoint lie: it opens the stream of events by hand, and says how that ended.
func telling(ctx context.Context, what string) (string, error) {
	table, err := sdk.Parent(ctx).Table(ctx)
	if err != nil {
		return "", err
	}
	d, err := table.Open(ctx, &dialog.Request{Endpoint: wire.Events, Kind: dialog.Context, Codec: "cbor"})
	if err != nil {
		return "", err
	}
	err = d.Scope(func(ctx context.Context, d *dialog.Dialog) error {
		stream, err := d.OpenStream(dialog.StreamOptions{})
		if err != nil {
			return err
		}
		return lies[what](func(b []byte) error { return stream.Send(ctx, b) })
	})
	switch {
	case err == nil:
		return "heard", nil
	case errors.Is(err, fault.ErrProtocol):
		return "refused", nil
	}
	return "", err
}

// unreadable are the lies that only the actor itself can have told. The others may be those of an
// actor further down, and are no reason not to listen to it any more.
var unreadable = []string{"rubbish", "a large text", "a fault"}

// What an actor tells of others than those below it is dropped, and one that tells rubbish is not
// listened to any more. It goes on, and so do the others.
func TestO01_AnActorThatLiesIsNotListenedTo(t *testing.T) {
	for what := range lies {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				programs := trellistest.NewPrograms(t,
					trellistest.Plugin{Name: "good", Endpoints: goodEndpoints()},
					trellistest.Plugin{Name: "liar", Endpoints: append(goodEndpoints(), lie.Handle(telling))})
				quiet := host.Options{Log: slog.New(slog.DiscardHandler)}
				err := host.OpenNursery(programs.Context(), quiet, func(ctx context.Context, n *host.Nursery) error {
					victim, err := n.Start(ctx, plug("victim", "good"))
					if err != nil {
						return err
					}
					liar, err := n.Start(ctx, plug("liar", "liar"))
					if err != nil {
						return err
					}
					want := map[bool]string{true: "refused", false: "heard"}[slices.Contains(unreadable, what)]
					if text, err := lie.Call(ctx, liar, what); text != want || err != nil {
						t.Errorf("O01: %q, %v; want %q", text, err, want)
					}
					if _, err := lie.Call(ctx, liar, what); !errors.Is(err, fault.ErrOverloaded) {
						t.Errorf("O01: a second stream gives %v", err)
					}
					for _, p := range []*host.Portal{victim, liar} {
						if text, err := echo.Call(ctx, p, "well"); text != "well" || err != nil {
							t.Errorf("O01: %s: %q, %v", p.Name(), text, err)
						}
					}
					found, err := directory.Query(ctx, "")
					if len(found) != 2 {
						t.Errorf("O01: %d entries are there; want the two children", len(found))
					}
					n.Cancel()
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}
