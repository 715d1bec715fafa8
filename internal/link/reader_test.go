package link_test

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// sockets are the two ends of a unix socket.
func sockets(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if a, err = net.DialUnix("unix", nil, listener.Addr().(*net.UnixAddr)); err != nil {
		t.Fatal(err)
	}
	if b, err = listener.AcceptUnix(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a, b
}

// host is a receiver that has a guest for each START while it may, and reports each CANCEL.
type host struct {
	inbox

	link      *link.Link
	guests    int      // that have begun; the reader's, whichever goroutine that is
	cancelled chan int // gets them; has room for all
}

func (h *host) Frame(f *wire.Frame) error {
	switch {
	case f.Kind == wire.Kind_KIND_CANCEL:
		h.cancelled <- h.guests
	case h.link.MayRunInPlace():
		h.guests++
		h.link.RunInPlace(h)
	}
	return nil
}

func (h *host) Run(*link.Turn) {}
func (h *host) HandedOver()    {}

// batch encodes frames.
func batch(t *testing.T, frames ...*wire.Frame) (b wire.Batch) {
	t.Helper()
	for _, f := range frames {
		text, err := wire.AppendFrame(nil, f)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, text)
	}
	return b
}

func hello() *wire.Frame {
	return &wire.Frame{Kind: wire.Kind_KIND_HELLO, Hello: &wire.Hello{
		Version: wire.Version, Self: wire.FromID(actor.NewID("peer")), MaxMessage: link.DefaultMaxMessage,
	}}
}

// What comes in one write, more of it than the reader's buffer holds, is given in many packets. Together
// they have as many guests as one, or the last frame would wait for all of them.
func TestN19_GuestsOfWhatHasComeAtOnce(t *testing.T) {
	const starts = 1500
	near, far := sockets(t)
	h := &host{link: link.New(link.NewLocal(near), link.Config{Self: actor.NewID("a")}), cancelled: make(chan int, 2)}
	frames := []*wire.Frame{hello()}
	for id := range uint64(starts) {
		frames = append(frames, &wire.Frame{Dialog: 2*id + 1, Kind: wire.Kind_KIND_START, Payload: make([]byte, 50)})
	}
	cancel := &wire.Frame{Dialog: 1, Kind: wire.Kind_KIND_CANCEL}
	peer := link.NewLocal(far)
	if err := peer.Send(batch(t, append(frames, cancel)...)); err != nil {
		t.Fatal(err)
	}
	h.link.Start(h) // all of it lies in the socket
	atOnce := <-h.cancelled
	if atOnce == 0 || atOnce > 100 {
		t.Errorf("of %d calls %d ran on the reader, want 100 at most", starts, atOnce)
	}
	if err := peer.Send(batch(t, frames[1], cancel)); err != nil {
		t.Fatal(err)
	}
	if <-h.cancelled != atOnce+1 {
		t.Error("the reader has waited since, and runs none any more")
	}
	h.link.Abort(errBoom)
	<-h.link.Done()
	peer.Abort()
}

// labeller is a receiver whose guests label their goroutine for profiles and hand the reading over. It
// reports what a profile says of the one that gets a CANCEL.
type labeller struct {
	inbox

	link     *link.Link
	profiles chan string
}

func (l *labeller) Frame(f *wire.Frame) error {
	switch f.Kind {
	case wire.Kind_KIND_START:
		l.link.RunInPlace(l)
	case wire.Kind_KIND_CANCEL:
		l.profiles <- l.profile()
	}
	return nil
}

func (l *labeller) Run(t *link.Turn) {
	pprof.Do(context.Background(), pprof.Labels("guest", "of the guest"), func(context.Context) { t.HandOver() })
}

func (l *labeller) HandedOver() {}

// profile is what a profile says of the goroutine that calls it.
func (l *labeller) profile() string {
	var all bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&all, 1) // a buffer takes everything
	for record := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(record, "labeller).profile") {
			return record
		}
	}
	return ""
}

// Whoever reads has the labels of the link's owner, and not those of a guest that has handed over.
func TestAGuestsLabelsAreItsOwn(t *testing.T) {
	near, far := sockets(t)
	l := &labeller{link: link.New(link.NewLocal(near), link.Config{Self: actor.NewID("a")}), profiles: make(chan string, 1)}
	pprof.Do(t.Context(), pprof.Labels("owner", "of the owner"), func(context.Context) { l.link.Start(l) })
	peer := link.NewLocal(far)
	frames := batch(t, hello(), &wire.Frame{Dialog: 1, Kind: wire.Kind_KIND_START}, &wire.Frame{Dialog: 1, Kind: wire.Kind_KIND_CANCEL})
	if err := peer.Send(frames); err != nil {
		t.Fatal(err)
	}
	if got := <-l.profiles; strings.Contains(got, "of the guest") || !strings.Contains(got, "of the owner") {
		t.Errorf("the reader is\n%s", got)
	}
	l.link.Abort(errBoom)
	<-l.link.Done()
	peer.Abort()
}
