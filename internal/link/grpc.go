package link

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// Flow control windows of the gRPC connection below a link, in bytes. The reader
// never stops to read, so they only have to cover what is in flight.
const (
	StreamWindow = 4 << 20
	ConnWindow   = 8 << 20
)

// MaxPacket is the largest gRPC message that an end must take, in bytes.
const MaxPacket = wire.MaxFrame

// Dial opens the link's stream on a brokered connection: the child's end. ctx gives only its
// values. The stream lives until the link ends, whatever becomes of the start that dialled it;
// Abort is what cancels it.
func Dial(ctx context.Context, conn grpc.ClientConnInterface) (Transport, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stream, err := wire.NewLinkClient(conn).Open(ctx, grpc.ForceCodecV2(wire.PacketCodec{}))
	if err != nil {
		cancel()
		return nil, err
	}
	return &dialled{BidiStreamingClient: stream, cancel: cancel}, nil
}

// dialled is the child's end of a link over gRPC, which ends with its ctx.
type dialled struct {
	grpc.BidiStreamingClient[wire.Packet, wire.Packet]
	cancel context.CancelFunc
}

func (d *dialled) Send(b wire.Batch) error { return d.SendMsg(b) }

func (d *dialled) Abort() { d.cancel() }

// Server accepts the one link that a child opens: the parent's end. Register it
// on the brokered connection's server, which codes with wire.PacketCodec and whose
// credentials may be its Credentials. The link may come over gRPC (Open) or directly (take);
// taken lets the first one win, whichever it is.
type Server struct {
	wire.UnimplementedLinkServer
	accept func(Transport) <-chan struct{}
	taken  atomic.Bool // the one link has come
}

// NewServer makes a Server. accept is called with the first transport and returns a
// channel that is closed when the link over it is done; further ones are refused.
func NewServer(accept func(Transport) (done <-chan struct{})) *Server {
	return &Server{accept: accept}
}

// Open carries one link. It returns, and so ends the stream, when the link is
// done or aborted.
func (s *Server) Open(stream grpc.BidiStreamingServer[wire.Packet, wire.Packet]) error {
	if s.taken.Swap(true) {
		return errSecondStream
	}
	t := &accepted{BidiStreamingServer: stream, cut: make(chan struct{})}
	select {
	case <-s.accept(t):
	case <-t.cut:
	}
	return nil
}

// take carries the link over a connection without gRPC, if it is the first.
func (s *Server) take(t Transport) {
	if s.taken.Swap(true) {
		t.Abort()
		return
	}
	s.accept(t)
}

// accepted is the parent's end of a link over gRPC. A server's stream ends when its handler
// returns, so Abort does not close anything itself: it makes Open return, once.
type accepted struct {
	grpc.BidiStreamingServer[wire.Packet, wire.Packet]
	once sync.Once
	cut  chan struct{}
}

func (a *accepted) Send(b wire.Batch) error { return a.SendMsg(b) }

// CloseSend does nothing: the Bye has told the child, and the stream ends when
// the child has closed its side, so that nothing which it still sends is lost.
func (a *accepted) CloseSend() error { return nil }

// Recv says what has happened. gRPC calls it a cancel when a client is gone, which
// nobody asked for.
func (a *accepted) Recv() (*wire.Packet, error) {
	p, err := a.BidiStreamingServer.Recv()
	if status.Code(err) == codes.Canceled {
		err = errBroken
	}
	return p, err
}

func (a *accepted) Abort() { a.once.Do(func() { close(a.cut) }) }

var errBroken = errors.New("the connection is broken")

var errSecondStream = status.Error(codes.AlreadyExists, "trellis: this connection has its link already")
