package host

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/seed-2ba35074/trellis/internal/link"
)

// Bounds of what a plugin can send over go-plugin's main connection. docs/bounds.md has
// all bounds.
const (
	// mostOfOurs is the largest message of go-plugin's and this project's own services, in
	// bytes: the answer to Boot, which has the shapes of all endpoints.
	mostOwnMessage = 4 << 20
	// mostOfTheirs is the largest message of other services, unless a call says otherwise
	// (grpc.MaxCallRecvMsgSize).
	mostMessage = link.DefaultMaxMessage
	// go-plugin keeps each announcement of its broker for brokerMemory, in a goroutine
	// of its own. So many are let through within that time, and the others wait.
	mostAnnounced = 512
	brokerMemory  = 5 * time.Second
	brokerStream  = "/plugin.GRPCBroker/StartStream"
)

// ownCall bounds a call of go-plugin or of this package.
func ownCall(o []grpc.CallOption) []grpc.CallOption {
	return append(slices.Clip(o), grpc.MaxCallRecvMsgSize(mostOwnMessage))
}

// pacedStream is a stream that takes mostAnnounced messages within brokerMemory. One goroutine
// receives.
type pacedStream struct {
	grpc.ClientStream
	taken [mostAnnounced]time.Time // when the last ones were, in turn
	n     int
}

// RecvMsg receives a message, when its turn has come.
func (p *pacedStream) RecvMsg(m any) error {
	if err := p.ClientStream.RecvMsg(m); err != nil {
		return err
	}
	last := &p.taken[p.n%mostAnnounced]
	if p.n++; p.n > mostAnnounced {
		select {
		case <-time.After(time.Until(last.Add(brokerMemory))):
		case <-p.Context().Done():
			return io.ErrUnexpectedEOF
		}
	}
	*last = time.Now()
	return nil
}

// Bounds of the listener that a child's link comes through.
const (
	// mostCallers is how many connections it takes. A child needs one, or two if it
	// tries a direct connection first.
	mostCallers = 8
	// handshakeBound is how long one of them may take to say who it is.
	handshakeBound = 20 * time.Second
)

// linkListener is a listener that is shut when the one connection it is for has come, and when
// too many others have.
type linkListener struct {
	net.Listener
	callers int // of Accept alone
	shut    atomic.Bool
}

var errLinkTaken = errors.New("the link is connected already, or too many others have connected")

// Accept takes the next connection. It is called by one goroutine.
func (d *linkListener) Accept() (net.Conn, error) {
	if d.callers++; d.callers > mostCallers {
		d.close()
		return nil, errLinkTaken
	}
	return d.Listener.Accept()
}

// close lets nobody in any more.
func (d *linkListener) close() {
	if !d.shut.Swap(true) {
		_ = d.Close() // whoever is in stays
	}
}
