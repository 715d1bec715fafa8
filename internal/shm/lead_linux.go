package shm

import (
	"errors"
	"net"
	"os"
	"runtime"
	"time"
)

// spinBound is how long an end looks for what is to come at once before it sleeps. It is what two
// sleeps and their ends cost.
const spinBound = 60 * time.Microsecond

// spins is whether there is a processor on which the peer may run meanwhile.
var spins = runtime.NumCPU() > 1 && runtime.GOMAXPROCS(0) > 1

// errRoused says that a leader has ended the reader's wait.
var errRoused = errors.New("roused")

// lifeline reads the socket, for the reader. The deadline of that is only how the reader is roused.
type lifeline struct{ of *incoming }

func (l lifeline) Read(b []byte) (int, error) {
	sock := l.of.conn.sock
	for {
		n, err := sock.Read(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if err := sock.SetReadDeadline(time.Time{}); err != nil {
			return 0, err
		}
		if l.of.idles {
			return 0, errRoused
		}
	}
}

// rouse has the reader look, where it waits or the next time that it is about to. A socket that is
// closed wakes it, too.
func (r *incoming) rouse() { _ = r.conn.sock.SetReadDeadline(time.Unix(1, 0)) }

// idle returns to the reader when there may be something to read. While it sleeps others
// may lead, unless it stays: in the middle of a frame nobody else reads. soon says that the
// peer is likely to write again at once. Before it sleeps whoever can run does: it may be
// what was just read that has woken somebody, and a thread that dozes would hold it up.
func (r *incoming) idle(soon, stays bool) {
	runtime.Gosched()
	if r.some() || r.left > 0 || r.end != nil || soon && r.spin() {
		return
	}
	var sleeps bool
	if r.conn.wary.Load() || r.aside || !r.dozes.try() { // behind a record the end may come, beside which nobody is to doze
		sleeps = r.settle(stays)
	} else {
		sleeps = r.nap(stays)
	}
	if sleeps {
		r.listen(stays)
	}
}

// nap has the reader doze, and reports whether it is on its way to the socket after that:
// there may be something, else.
func (r *incoming) nap(stays bool) (sleeps bool) {
	r.ctl.reader.word.Store(dozing)
	if r.busy() {
		return false
	}
	r.naps.Store(true)
	r.rest(stays)
	r.ctl.reader.doze(r.bound)
	r.naps.Store(false)
	if !r.role.do(wakes) {
		return true // somebody leads, and puts this end to sleep after that
	}
	r.ctl.reader.word.Store(awake)
	hit := r.some()
	r.dozes.learn(hit)
	return !hit && r.settle(stays)
}

// settle says that the reader is on the socket from now on. It reports false if there is
// something to read after all: then it still reads.
func (r *incoming) settle(stays bool) (sleeps bool) {
	r.goToSleep()
	if r.busy() {
		return false
	}
	r.rest(stays)
	return true
}

// rest lets others lead, unless the reader stays.
func (r *incoming) rest(stays bool) {
	if !stays {
		r.role.do(rests)
	}
}

// goToSleep tells the peer to ring. The sleep is counted before that, or a bell could be read which
// is one too many.
func (r *incoming) goToSleep() {
	r.sleeps.Add(1)
	r.ctl.reader.word.Store(asleep)
}

// busy reports whether there is something to read after all, so that this end is awake again.
func (r *incoming) busy() bool {
	if !r.some() && !r.conn.closed.Load() {
		return false
	}
	r.ctl.reader.word.Store(awake)
	return true
}

// listen waits on the socket until the reader reads again. If somebody leads, that ends
// soon. An end of the socket is kept, and what is left in the ring is still to be read.
func (r *incoming) listen(stays bool) {
	r.idles = !stays
	what, err := r.sock.Peek(1)
	r.idles = false
	if err == nil && what[0] == bell {
		_, _ = r.sock.Discard(1) // it is there
		r.countBells()
	}
	if !r.role.do(wants) {
		r.ctl.reader.rise()
		<-r.turn
	}
	r.ctl.reader.word.Store(awake)
	if err != nil && !errors.Is(err, errRoused) {
		r.end = err
	}
}

// lead reports whether its caller reads from now on, until it departs. It is not tried while the
// peer is slow. What has been learned of that is the leaders', and so belongs to whoever asks:
// nobody leads while the role is vacant.
func (r *incoming) lead() bool {
	if !r.role.is(vacant) || r.conn.wary.Load() || !r.leading.try() || !r.role.do(leads) {
		return false
	}
	r.ctl.reader.word.Store(awake)
	if r.left == 0 && r.end == nil && !r.missing() {
		return true
	}
	r.depart(true)
	return false
}

// watch waits for something on the leader's thread, for a moment at most. It does not sleep if stop
// reports true, or the reader waits for the leader to depart.
func (r *incoming) watch(stop func() bool) (hit bool) {
	if r.role.is(wanted) {
		return false
	}
	if r.some() || r.spin() {
		return true
	}
	r.ctl.reader.word.Store(dozing)
	if !r.some() && !r.conn.closed.Load() && !r.role.is(wanted) && !stop() {
		r.ctl.reader.doze(r.bound)
	}
	r.ctl.reader.word.Store(awake)
	hit = r.some()
	r.leading.learn(hit)
	return hit
}

// spin looks for a while without sleeping.
func (r *incoming) spin() (hit bool) {
	if !spins || !r.spinning.try() {
		return false
	}
	for began := time.Now(); !hit && time.Since(began) < spinBound; {
		hit = r.some()
	}
	r.spinning.learn(hit)
	return hit
}

// readNow gives the leader what there is. A record is the reader's, with all that is behind it.
func (r *incoming) readNow(b []byte) (int, error) {
	if r.conn.closed.Load() {
		return 0, net.ErrClosed
	}
	tail := r.ctl.tail.Load()
	if r.missing() {
		return 0, nil
	}
	if err := r.at.saw(tail); err != nil {
		return 0, err
	}
	return r.take(b)
}

// depart ends the leader's reading: this end sleeps on the socket from now on, where the reader is
// or soon will be. That one goes on if it waits for this, or there is something to read, or it
// must.
func (r *incoming) depart(must bool) {
	r.goToSleep()
	if r.naps.Load() { // beside the leader, on a word that nobody takes for dozing any more
		r.ctl.reader.wake()
	}
	must = must || r.some()
	switch {
	case r.role.do(leaves):
		r.turn <- struct{}{}
	case must:
		r.rouse()
	}
}
