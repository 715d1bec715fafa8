package bench

import (
	"context"

	"google.golang.org/grpc"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/plain"
)

// plainServer is what the plain gRPC plugin serves.
type plainServer struct {
	plain.UnimplementedPlainServer
	ended moments
}

func (*plainServer) Call(_ context.Context, p *plain.Payload) (*plain.Payload, error) { return p, nil }

func (*plainServer) Open(s grpc.BidiStreamingServer[plain.Payload, plain.Payload]) error {
	m, err := s.Recv()
	if err != nil {
		return err
	}
	return s.Send(m)
}

func (*plainServer) Pour(s grpc.BidiStreamingServer[plain.Flow, plain.Payload]) error {
	flow, err := s.Recv()
	if err != nil {
		return err
	}
	message := &plain.Payload{Data: make([]byte, flow.Size)}
	for {
		if err := s.Send(message); err != nil {
			return err
		}
	}
}

func (*plainServer) Echo(s grpc.BidiStreamingServer[plain.Payload, plain.Payload]) error {
	for {
		m, err := s.Recv()
		if err == nil {
			err = s.Send(m)
		}
		if err != nil {
			return err
		}
	}
}

func (p *plainServer) Hold(s grpc.BidiStreamingServer[plain.Mark, plain.Mark]) error {
	mark, err := s.Recv()
	if err == nil {
		err = s.Send(mark)
	}
	if err != nil {
		return err
	}
	<-s.Context().Done()
	p.ended.note(mark.Id)
	return context.Cause(s.Context())
}

func (p *plainServer) Ended(ctx context.Context, mark *plain.Mark) (*plain.Instant, error) {
	at, err := p.ended.take(ctx, mark.Id)
	return &plain.Instant{UnixNanoseconds: at}, err
}

func (*plainServer) Usage(context.Context, *plain.Nothing) (*plain.Use, error) {
	c := ownConsumption()
	return &plain.Use{Memory: c.memory, Allocations: c.allocations}, nil
}
