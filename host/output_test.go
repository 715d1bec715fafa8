package host_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// poursAtOnce is more than a host keeps of what waits for its log: 1 MiB.
const poursAtOnce = 5 << 18

// pour makes a plugin write something to both of its outputs, until it is poursAtOnce bytes.
var pour = contract.Func[string, none]("pour")

func init() {
	role("pours", func() {
		sdk.Serve(append(goodEndpoints(), pour.Handle(func(_ context.Context, what string) (none, error) {
			text := bytes.Repeat([]byte(poured[what]), poursAtOnce/len(poured[what]))
			for _, out := range []io.Writer{os.Stdout, os.Stderr} {
				if _, err := out.Write(text); err != nil {
					return none{}, err
				}
			}
			return none{}, nil
		}))...)
	})
}

var poured = map[string]string{
	"one line":        "x",
	"empty lines":     "\n",
	"zeros":           "\x00\x00",
	"no UTF-8":        "\xff\xfex\n",
	"UTF-16":          "x\x00y\x00\n\x00",
	"escape codes":    "\x1b[2Jx\r\n",
	"half a record":   `{"level":"INFO","msg":"x` + "\n",
	"foreign types":   `{"@message":1,"@level":{},"level":[],"time":"x"}` + "\n",
	"a deep document": strings.Repeat("[", 1000) + "\n",
}

// sluggish is a log that takes nothing of what plugins print until it may.
type sluggish struct {
	slog.Handler
	may <-chan struct{}
}

func (s sluggish) Handle(ctx context.Context, r slog.Record) error {
	printed := false
	r.Attrs(func(a slog.Attr) bool {
		printed = printed || a.Key == "stream"
		return true
	})
	if printed {
		<-s.may
	}
	return s.Handler.Handle(ctx, r)
}

func TestF04_NothingThatAPluginPrintsBlocksIt(t *testing.T) {
	parallel(t)
	for what := range poured {
		t.Run(what, func(t *testing.T) {
			log := &syncBuffer{}
			may := make(chan struct{})
			o := host.Options{Log: slog.New(sluggish{slog.NewJSONHandler(log, nil), may})}
			err := host.OpenNursery(t.Context(), o, func(ctx context.Context, n *host.Nursery) error {
				defer close(may)
				p, err := n.Start(ctx, spec(t, "talker", "pours"))
				if err != nil {
					return err
				}
				if _, err := pour.Call(ctx, p, what); err != nil {
					return err
				}
				if _, err := echo.Call(ctx, p, "still here"); err != nil {
					return err
				}
				return p.Cancel(ctx, "done")
			})
			if err != nil {
				t.Error(err)
			}
			if text := log.String(); !utf8.ValidString(text) {
				t.Error("the log is not UTF-8")
			}
			if left := childrenLeft(t); len(left) > 0 {
				t.Errorf("processes are left: %v", left)
			}
		})
	}
}

// F04: a nursery that has ended waits for what its children have printed last, a second at
// most: the handler here may itself wait for the nursery's end.
func TestF04_ANurseryWaitsForTheLastLines(t *testing.T) {
	parallel(t)
	log := &syncBuffer{}
	may := make(chan struct{})
	o := host.Options{Log: slog.New(sluggish{slog.NewJSONHandler(log, nil), may})}
	begun := time.Now()
	err := host.OpenNursery(t.Context(), o, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, spec(t, "talker", "good"))
		if err != nil {
			return err
		}
		if _, err := say.Call(ctx, p, "goodbye"); err != nil {
			return err
		}
		return p.Cancel(ctx, "done")
	})
	if err != nil {
		t.Error(err)
	}
	if waited := time.Since(begun); waited < time.Second {
		t.Errorf("it has returned after %v, without the last line", waited)
	}
	close(may)
	log.await(t, "printed goodbye")
}
