package shm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// ledStream checks a stream that several goroutines read in turn. Only the role guards it, which the race
// detector sees.
type ledStream struct {
	c       *Conn
	at      int
	byThose [2]int // bytes that the reader has read, and the leaders

	asking sync.Mutex // held for Lead
}

func (s *ledStream) take(t *testing.T, who int, b []byte) {
	if want := pattern(s.at, len(b)); string(want) != string(b) {
		t.Errorf("other bytes than were written, from %d on", s.at)
	}
	s.at += len(b)
	s.byThose[who] += len(b)
}

// read is the reader, as a link's: it waits with Idle, and then reads.
func (s *ledStream) read(t *testing.T) {
	b := make([]byte, 1000)
	for {
		s.c.Idle(s.at%2 == 0)
		n, err := s.c.Read(b)
		s.take(t, 0, b[:n])
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			return
		}
	}
}

// lead is one leader's time, and reports false if it was not to be. With no reads the leader departs at once.
func (s *ledStream) lead(t *testing.T, reads int, over func() bool) bool {
	s.asking.Lock()
	if s.c.in.role.is(vacant) { // however much it has been in vain
		s.c.in.leading.skip = 0
	}
	leads := s.c.Lead()
	s.asking.Unlock()
	if !leads {
		return false
	}
	b := make([]byte, 100)
	for range reads {
		if !s.c.Watch(over) {
			break
		}
		n, err := s.c.ReadNow(b)
		if err != nil {
			t.Error(err)
		}
		if n == 0 {
			break
		}
		s.take(t, 1, b[:n])
	}
	s.c.Depart(false)
	return true
}

// The reader and several leaders read one stream, with records in it, and all of it comes in order.
func TestReaderAndLeadersReadOneStream(t *testing.T) {
	for _, naps := range []bool{true, false} {
		t.Run(fmt.Sprintf("the reader naps %v", naps), func(t *testing.T) { readOneStream(t, naps) })
	}
}

func readOneStream(t *testing.T, naps bool) {
	const total = 200_000
	near, far := pair(t)
	if !naps { // but for a socket's end while the reader dozes, nobody depends on the bound of a doze
		near.in.bound, near.in.dozes.skip = time.Hour, 1<<30
	}
	s := &ledStream{c: near}
	working := []*task.Worker{task.Start(func() { s.read(t) })}
	ctx, end := context.WithCancel(context.Background())
	for i := range uint64(3) {
		working = append(working, task.Start(func() {
			for r := rand.New(rand.NewPCG(i, 1)); ctx.Err() == nil; {
				over := func() bool { return ctx.Err() != nil }
				if !s.lead(t, r.IntN(4), over) || i == 0 {
					runtime.Gosched()
				}
			}
		}))
	}
	for at, r := 0, rand.New(rand.NewPCG(7, 7)); at < total; {
		n := min(1+r.IntN(500), total-at)
		write := far.Write
		if r.IntN(10) == 0 {
			write = far.WriteAside
		}
		if err := write([][]byte{pattern(at, n)}); err != nil {
			t.Fatal(err)
		}
		if at += n; r.IntN(3) == 0 {
			for far.out.ctl.reader.word.Load() == awake && r.IntN(50) > 0 {
				runtime.Gosched() // they may go to sleep in between
			}
		}
	}
	if err := far.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	working[0].Wait()
	end()
	for _, w := range working[1:] {
		w.Wait()
	}
	if s.at != total {
		t.Errorf("%d bytes of %d were read", s.at, total)
	}
	if near.wary.Load() {
		t.Error("an honest peer is not relied on any more")
	}
	t.Logf("the reader has read %d bytes, leaders %d", s.byThose[0], s.byThose[1])
}

// idle is a connection whose reader waits on the socket.
func idle(t *testing.T) (s *ledStream, far *Conn, reading *task.Worker) {
	t.Helper()
	near, far := pair(t)
	near.in.bound = time.Hour // nobody may depend on the bound of a doze
	s = &ledStream{c: near}
	near.in.dozes.skip = 1 << 30 // it has no patience
	reading = task.Start(func() { s.read(t) })
	for !near.in.role.is(vacant) {
		runtime.Gosched()
	}
	return s, far, reading
}

func finish(t *testing.T, far *Conn, reading *task.Worker) {
	t.Helper()
	if err := far.CloseWrite(); err != nil {
		t.Error(err)
	}
	reading.Wait()
}

// While somebody leads nobody else does, the peer rings no bell, and what it writes is the leader's.
func TestALeaderReadsWithoutABell(t *testing.T) {
	s, far, reading := idle(t)
	if !s.c.Lead() {
		t.Fatal("nobody reads, and nobody may lead")
	}
	if s.c.Lead() {
		t.Error("two lead")
	}
	if err := far.Write([][]byte{pattern(0, 10)}); err != nil {
		t.Fatal(err)
	}
	if !s.c.Watch(func() bool { return false }) {
		t.Error("nothing has come")
	}
	b := make([]byte, 20)
	n, err := s.c.ReadNow(b)
	if n != 10 || err != nil {
		t.Errorf("%d bytes, and %v", n, err)
	}
	s.take(t, 1, b[:n])
	s.c.Depart(false)
	if !s.c.in.role.is(vacant) {
		t.Error("the reader has been woken")
	}
	finish(t, far, reading)
	if s.byThose != [2]int{0, 10} {
		t.Errorf("the reader has read %d bytes, and the leader %d", s.byThose[0], s.byThose[1])
	}
	if s.c.in.bells != 0 {
		t.Errorf("%d bells were rung", s.c.in.bells)
	}
}

// What a leader leaves, the reader reads: what has come after it has looked last, and what it says that there is.
func TestWhatALeaderLeavesIsTheReaders(t *testing.T) {
	s, far, reading := idle(t)
	if !s.c.Lead() {
		t.Fatal("nobody may lead")
	}
	if err := far.Write([][]byte{pattern(0, 10)}); err != nil {
		t.Fatal(err)
	}
	s.c.Depart(false)
	for far.out.ctl.head.Load() != 10 {
		runtime.Gosched()
	}
	finish(t, far, reading)
	if s.byThose != [2]int{10, 0} {
		t.Errorf("the reader has read %d bytes, and the leader %d", s.byThose[0], s.byThose[1])
	}
}

// A record is the reader's, which lets a leader that sleeps finish.
func TestARecordEndsLeading(t *testing.T) {
	s, far, reading := idle(t)
	leading := task.Start(func() {
		for s.c.in.leading.skip = 0; !s.lead(t, 1<<30, func() bool { return false }); {
			runtime.Gosched()
		}
	})
	for !s.c.in.role.is(led) {
		runtime.Gosched()
	}
	if err := far.WriteAside([][]byte{pattern(0, 10)}); err != nil {
		t.Fatal(err)
	}
	leading.Wait()
	finish(t, far, reading)
	if s.byThose != [2]int{10, 0} {
		t.Errorf("the reader has read %d bytes, and the leader %d", s.byThose[0], s.byThose[1])
	}
}

// Close ends a leader's wait.
func TestCloseEndsWatching(t *testing.T) {
	near, _ := pair(t)
	near.in.bound = time.Hour // this may not depend on it
	near.in.dozes.skip = 1 << 30
	reading := task.Start(func() { near.Idle(false) })
	for !near.in.role.is(vacant) {
		runtime.Gosched()
	}
	watching := task.Start(func() {
		if !near.Lead() {
			t.Error("nobody may lead")
		}
		if near.Watch(func() bool { return false }) {
			t.Error("something has come")
		}
		near.Depart(false)
	})
	for near.in.ctl.reader.word.Load() != dozing || !near.in.role.is(led) {
		runtime.Gosched()
	}
	_ = near.Close()
	watching.Wait()
	reading.Wait()
}

// Behind a record the reader waits where the end comes, between two reads and within one, however little it minds to doze.
func TestTheEndBehindARecordIsFoundAtOnce(t *testing.T) {
	for name, wait := range map[string]func(c *Conn){"idle": func(c *Conn) { c.Idle(false) }, "read": func(*Conn) {}} {
		t.Run(name, func(t *testing.T) {
			near, far := pair(t)
			near.in.bound = time.Hour // this may not depend on it
			if err := far.WriteAside([][]byte{pattern(0, 1)}); err != nil {
				t.Fatal(err)
			}
			reading := task.Start(func() {
				for _, want := range []error{nil, io.EOF} {
					wait(near)
					if _, err := near.Read(make([]byte, 1)); !errors.Is(err, want) {
						t.Errorf("got %v, expected %v", err, want)
					}
				}
			})
			for far.out.ctl.reader.word.Load() != asleep {
				runtime.Gosched()
			}
			if err := far.CloseWrite(); err != nil {
				t.Error(err)
			}
			reading.Wait()
		})
	}
}
