package shm

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// scribble is what a peer does that is bound to nothing: it writes anything anywhere into the memory,
// and anything to the socket. A script is read three bytes at a time: what to do, where, and what with.
func scribble(peer *Conn, script []byte) {
	values := []uint64{0, 1, 2, 3, 64, Size - 1, Size, Size + 1, 1 << 31, 1 << 32, 1 << 63, ^uint64(0)}
	for ; len(script) >= 3; script = script[3:] {
		what, where, with := script[0], int(script[1]), script[2]
		value := values[int(with)%len(values)]
		switch what % 8 {
		case 0, 1: // a control, far or near
			at := where % 2 * secondControls
			at += []int{0, 8, 64, 128, 192}[where/2%5]
			binary.NativeEndian.PutUint64(peer.mem.all[at:], value)
		case 2: // what it has read itself, as it is or a little beyond
			peer.in.ctl.head.Store(peer.in.ctl.tail.Load() - uint64(with))
		case 3: // what it has written
			peer.out.ctl.tail.Store(peer.out.ctl.head.Load() + uint64(with)*uint64(where))
		case 4: // anywhere
			at := (where<<8 | int(with)) * 8 % (Bytes - 8)
			binary.NativeEndian.PutUint64(peer.mem.all[at:], value)
		case 5: // bells, or the byte that begins a record
			_, _ = peer.sock.Write([]byte{with % 3})
		case 6: // a record, at some place and of some length
			head := binary.NativeEndian.AppendUint64([]byte{record}, peer.out.ctl.head.Load()+uint64(where))
			head = binary.NativeEndian.AppendUint32(head, uint32(value))
			_, _ = peer.sock.Write(append(head, script[:with%3]...))
			peer.out.ctl.asides.Add(uint64(with % 2))
		case 7: // it wakes whoever sleeps
			peer.in.ctl.writer.wake()
			peer.out.ctl.reader.rouse()
		}
	}
}

// outlive runs one honest end against a hostile one. Whatever that does, the honest one's reading and
// writing end, when an error comes or the peer is gone, and nothing else happens.
func outlive(t testing.TB, scripts ...[]byte) {
	victim, peer := pair(t)
	working := []*task.Worker{
		task.Start(func() { // as the link's reader, which closes when it has read the last
			b := make([]byte, 4096)
			for err := error(nil); err == nil; {
				var n int
				victim.Idle(true)
				if n, err = victim.Read(b); n < 0 || n > len(b) || n == 0 && err == nil {
					t.Errorf("%d bytes of %d, and %v", n, len(b), err)
				}
				if victim.in.at.ready() < 0 || victim.in.at.ready() > Size {
					t.Errorf("%d bytes are ready in a ring of %d", victim.in.at.ready(), Size)
				}
			}
			_ = victim.Close()
		}),
		task.Start(func() { // as somebody who waits for an answer
			for b := make([]byte, 4096); !victim.closed.Load(); runtime.Gosched() {
				if !victim.Lead() {
					continue
				}
				err := error(nil)
				for n := 1; n > 0 && err == nil && victim.Watch(victim.closed.Load); {
					if n, err = victim.ReadNow(b); n < 0 || n > len(b) {
						t.Errorf("%d bytes of %d, and %v", n, len(b), err)
					}
				}
				victim.Depart(err != nil)
			}
		}),
		task.Start(func() {
			for i := 0; ; i++ {
				batch := [][]byte{pattern(i, i*37%3000)}
				n, err := victim.WriteNow(batch)
				switch {
				case err != nil:
				case i%5 == 0:
					err = victim.WriteAside(batch)
				case i%5 > 2:
					err = victim.Write(batch)
				}
				if err != nil {
					_ = victim.Close()
					return
				}
				if n > len(batch[0]) || victim.out.at.room() < 0 || victim.out.at.room() > Size {
					t.Errorf("%d bytes of %d were written, with room for %d", n, len(batch[0]), victim.out.at.room())
				}
			}
		}),
	}
	var scribbling []*task.Worker
	for _, script := range scripts {
		scribbling = append(scribbling, task.Start(func() { scribble(peer, script) }))
	}
	drain := task.Start(func() { // or the victim would wait for a peer that does nothing
		b := make([]byte, 4096)
		for err := error(nil); err == nil; {
			_, err = peer.sock.Read(b)
		}
	})
	for _, s := range scribbling {
		s.Wait()
	}
	_ = peer.sock.Close() // not its memory, which stays as it is
	for _, w := range append(working, drain) {
		w.Wait()
	}
}

func FuzzHostilePeer(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		f.Add(noise(r, 300))
	}
	f.Add([]byte{5, 0, 0, 5, 0, 0, 5, 0, 0}) // bells that nobody needs
	f.Add([]byte{3, 1, 7, 6, 9, 1, 6, 0, 0}) // records in places that cannot be
	f.Fuzz(func(t *testing.T, script []byte) { outlive(t, script, script) })
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// Two threads of the peer scribble over everything while both directions run.
func TestHostilePeerIsOutlived(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		outlive(t, noise(r, 3000), noise(r, 3000))
	}
}

// A peer that rings more often than this end has slept is not waited for on a thread any more, nor
// written to through the memory; the connection goes on.
func TestBellsWithoutNeedEndTheUseOfMemory(t *testing.T) {
	a, b := pair(t)
	for range 3 {
		_ = b.out.raw.Write(b.out.ringBell)
	}
	_ = b.CloseWrite()
	if n, err := a.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d bytes, and %v", n, err)
	}
	if !a.wary.Load() {
		t.Fatal("the bells were not counted")
	}
	if n, err := a.WriteNow([][]byte{{1}}); n != 0 || err != nil {
		t.Errorf("%d bytes went into the ring, and %v", n, err)
	}
	if err := a.Write([][]byte{{1, 2}}); err != nil {
		t.Error(err)
	}
	got := make([]byte, 3)
	if n, err := b.Read(got); n != 2 || err != nil || b.in.at.tail != 0 {
		t.Errorf("%v was read, %d bytes of them in the ring, and %v", got[:n], b.in.at.tail, err)
	}
}
