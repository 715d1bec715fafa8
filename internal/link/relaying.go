package link

import "cmp"

// What a relay needs of a link: its Receiver passes frames of one link on to another one, as they come.

// mostRelayed is how many bytes may wait on an account for frames of relayed dialogs to join them,
// by lanes. A relay cannot let a sender wait, as a link's reader never stops. What is past credit,
// or for a peer that does not read, so costs its dialog; and what others have opened never costs a
// peer its link, which is cut at mostUnread bytes of answers. There is a quarter as much again for
// those who have little of what waits.
var mostRelayed = [lanes]int{Answer: mostUnread / 2, Data: mostUnread}

// share is how much of what waits on an account one source has relayed, at most: before the
// account came to a mark, and since. When the mark has gone, so has the former.
//
// Nobody is told when a frame of one source has gone, but frames go nearly in the order in which
// they came. So two numbers for each source are enough, where there would be one for each frame
// that waits. They are never too small, and at most what has come since the mark too large.
type share struct {
	before, since int
	mark          uint64
}

// relayedSize is what a frame takes beside its payload and its texts.
const relayedSize = 64

func (l *load) share(from any) *share {
	if l.shares == nil {
		l.shares = map[any]*share{}
	}
	s := l.shares[from]
	if s == nil {
		s = &share{}
		l.shares[from] = s
	}
	if l.gone >= s.mark {
		s.before, s.since, s.mark = s.since, 0, l.gone+uint64(l.bytes)
	}
	return s
}

// Full reports whether so much waits in a lane that nothing that this source relays may join it,
// or not a frame of this size; if not, the frame counts as its. An idle link takes as much as it
// allows to wait in all: twice the bound, which is where an account of answers that nobody reads
// costs a peer its link.
//
// A source that is alone may have the whole bound. What it has, and all that waits, are together
// at most twice that; so others find room, and are not refused for what the first one has sent.
func (l *Link) Full(lane Lane, size int, from any) bool {
	account := lane.account()
	most, load := mostRelayed[account], &l.out.loads[account]
	if size <= most && !load.congested.Load() { // nearly always, and without the lock
		return false
	}
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	s, waits := load.share(from), load.bytes
	if waits > most*5/4 || waits+size > 2*most || waits+min(waits, s.before+s.since) > 2*most {
		return true
	}
	s.since += size + relayedSize
	return false
}

// PeerTakes is what the peer has told: how many dialogs it runs for this end at once, and below
// how many bytes of their arguments it takes another one. As each takes memory here, too, there
// are no more than by default.
func (l *Link) PeerTakes() (dialogs, arguments int) {
	h := l.peer.Load()
	dialogs = cmp.Or(int(min(h.GetMaxDialogs(), DefaultMaxDialogs)), DefaultMaxDialogs)
	return dialogs, cmp.Or(int(min(h.GetMaxArguments(), mostUnread)), DefaultMaxArguments)
}
