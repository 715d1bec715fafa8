package link_test

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// miser is a transport that takes little, or nothing, without waiting. It notices when two write at
// the same time, and says so at the end with what has come.
type miser struct {
	cut  chan struct{} // closed: aborted
	once sync.Once

	writes sync.Mutex // held by whoever writes
	out    []byte
	calls  int
	waited int // bytes that went with Send
	shared bool
}

func (m *miser) write(b wire.Batch, most int) (sent int) {
	if !m.writes.TryLock() {
		m.shared = true
		return 0
	}
	defer m.writes.Unlock()
	for _, part := range b {
		n := min(len(part), most-sent)
		m.out = append(m.out, part[:n]...)
		sent += n
	}
	return sent
}

func (m *miser) SendNow(b wire.Batch) (int, error) {
	m.calls++ // a race, if two of them come at the same time
	return m.write(b, []int{1 << 30, 0, 7, 1 << 30, 100, 5000}[m.calls%6]), nil
}

func (m *miser) Send(b wire.Batch) error {
	m.waited += m.write(b, 1<<30)
	return nil
}

func (m *miser) Recv() (*wire.Packet, error) { <-m.cut; return nil, io.EOF }
func (m *miser) CloseSend() error            { return nil }
func (m *miser) Abort()                      { m.once.Do(func() { close(m.cut) }) }

// Whoever sends may write, and what does not go at once is written by another one: all of it once,
// from the very byte on, and in order.
func TestManyWriteAndNothingIsLost(t *testing.T) {
	const senders, frames = 8, 50
	sizes := []int{0, 3, 20_000, 100, 150_000}
	synctest.Test(t, func(t *testing.T) {
		tr := &miser{cut: make(chan struct{})}
		l := link.New(tr, link.Config{Self: actor.NewID("a")})
		l.Start(&inbox{})
		var all task.Group
		for s := range senders {
			all.Go(func() {
				for i := range frames {
					time.Sleep(time.Duration((i*s)%3) * time.Millisecond) // the bubble's, so that they come in different orders
					put := func() {
						payload := append(fmt.Appendf(nil, "%03d", i), make([]byte, sizes[(i+s)%len(sizes)])...)
						l.Send(link.Lane(s%3), message(uint64(s+1), payload))
					}
					if (i+s)%4 == 0 {
						put()
					} else {
						l.Promptly(func() (yield bool) { put(); return true })
					}
				}
			})
		}
		all.Close()
		synctest.Wait()
		packet, err := wire.NewPacket(wire.Batch{tr.out})
		if err != nil {
			t.Fatal(err)
		}
		next := map[uint64]int{}
		begun := map[uint64]bool{} // pieces of a payload have come
		for _, f := range packet.Frames[1:] {
			if !begun[f.Dialog] {
				if want := fmt.Sprintf("%03d", next[f.Dialog]); string(f.Payload[:3]) != want {
					t.Fatalf("of sender %d came %q, want %s", f.Dialog, f.Payload[:3], want)
				}
				next[f.Dialog]++
			}
			begun[f.Dialog] = f.More
		}
		for s := range senders {
			if n := next[uint64(s+1)]; n != frames {
				t.Errorf("%d frames of sender %d have come, want %d", n, s+1, frames)
			}
		}
		if tr.shared || tr.calls < 20 || tr.waited == 0 || tr.waited == len(tr.out) {
			t.Errorf("two wrote at once: %v; %d writes did not wait, and of %d bytes %d went with others", tr.shared, tr.calls, len(tr.out), tr.waited)
		}
		l.Abort(errBoom)
		<-l.Done()
	})
}
