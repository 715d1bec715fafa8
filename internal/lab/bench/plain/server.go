package plain

import (
	"context"

	"google.golang.org/grpc"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/usage"
)

// Server is what the gRPC programs serve.
type Server struct {
	UnimplementedPlainServer
	ended usage.Moments
}

// Call answers with what it was given.
func (*Server) Call(_ context.Context, p *Payload) (*Payload, error) { return p, nil }

// Open answers one message with one message.
func (*Server) Open(s grpc.BidiStreamingServer[Payload, Payload]) error {
	m, err := s.Recv()
	if err != nil {
		return err
	}
	return s.Send(m)
}

// Pour sends messages until it is cancelled.
func (*Server) Pour(s grpc.BidiStreamingServer[Flow, Payload]) error {
	flow, err := s.Recv()
	if err != nil {
		return err
	}
	message := &Payload{Data: make([]byte, flow.Size)}
	for {
		if err := s.Send(message); err != nil {
			return err
		}
	}
}

// Echo sends every message back.
func (*Server) Echo(s grpc.BidiStreamingServer[Payload, Payload]) error {
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

// Hold answers one message and stays until it is cancelled.
func (p *Server) Hold(s grpc.BidiStreamingServer[Mark, Mark]) error {
	mark, err := s.Recv()
	if err == nil {
		err = s.Send(mark)
	}
	if err != nil {
		return err
	}
	<-s.Context().Done()
	p.ended.Note(mark.Id)
	return context.Cause(s.Context())
}

// Ended waits for a Hold to notice its cancellation, and tells when it did.
func (p *Server) Ended(ctx context.Context, mark *Mark) (*Instant, error) {
	at, err := p.ended.Take(ctx, mark.Id)
	return &Instant{UnixNanoseconds: at}, err
}

// Usage collects garbage and tells what the process has.
func (*Server) Usage(context.Context, *Nothing) (*Use, error) {
	c := usage.Own()
	return &Use{Memory: c.Memory, Allocations: c.Allocations}, nil
}
