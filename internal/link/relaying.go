package link

import "cmp"

// What a relay needs of a link: its Receiver passes frames of one link on to another one, as they come.

// mostRelayed is how many bytes may wait on an account for frames of relayed dialogs to join them, by lanes.
// A relay cannot let a sender wait, as a link's reader never stops. What is past credit, or for a peer
// that does not read, so costs its dialog; and what others have opened never costs a peer its link, which
// is cut at mostUnread bytes of answers.
var mostRelayed = [lanes]int{Answer: mostUnread / 2, Data: mostUnread}

// Full reports whether so much waits in a lane that nothing that is relayed may join it, or not a payload of
// this size. An idle link takes as much as it allows to wait in all: twice the bound, which is where an
// account of answers that nobody reads costs a peer its link.
func (l *Link) Full(lane Lane, size int) bool {
	account := lane.account()
	most := mostRelayed[account]
	if size <= most && !l.out.loads[account].congested.Load() { // nearly always, and without the lock
		return false
	}
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	waits := l.out.loads[account].bytes
	return waits > most || waits+size > 2*most
}

// PeerTakes is what the peer has told: how many dialogs it runs for this end at once, and below how
// many bytes of their arguments it takes another one. As each takes memory here, too, there are no more than by default.
func (l *Link) PeerTakes() (dialogs, arguments int) {
	h := l.peer.Load()
	dialogs = cmp.Or(int(min(h.GetMaxDialogs(), DefaultMaxDialogs)), DefaultMaxDialogs)
	return dialogs, cmp.Or(int(min(h.GetMaxArguments(), mostUnread)), DefaultMaxArguments)
}
