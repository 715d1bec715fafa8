package sdk

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/internal/environ"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// actorServer answers the host's Boot. go-plugin's server has one, which lives as long as
// the process; gRPC may call it on several goroutines, and once lets the first call alone
// through.
type actorServer struct {
	wire.UnimplementedActorServer
	life   *life
	broker *plugin.GRPCBroker
	once   sync.Once
}

// Boot makes this process the actor that the host says it is, and returns when it is ready
// to be called. A process is one actor in its whole life: a second Boot is refused, even
// if the first one has failed, since nothing of what that has begun is taken back.
//
// The codes are part of the protocol: FailedPrecondition means that another start of the
// same program would be refused as well, and the host does not restart such an actor.
func (s *actorServer) Boot(ctx context.Context, r *wire.BootRequest) (resp *wire.BootResponse, err error) {
	err = status.Error(codes.AlreadyExists, "trellis: this actor has been booted before")
	s.once.Do(func() { resp, err = s.boot(ctx, r) })
	return resp, err
}

func (s *actorServer) boot(ctx context.Context, r *wire.BootRequest) (*wire.BootResponse, error) {
	leaveGoPlugin(s.life)
	if err := s.life.plugin.check(r); err != nil {
		return nil, status.Errorf(codes.FailedPrecondition, "trellis: %v", err)
	}
	transport, err := s.connect(ctx, r)
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "trellis: open the host's link: %v", err)
	}
	exposed, err := s.life.begin(r, transport)
	if err != nil {
		return nil, status.Errorf(codes.FailedPrecondition, "trellis: %v", err)
	}
	if err := s.life.awaitReady(ctx); err != nil {
		return nil, status.Errorf(codes.Aborted, "trellis: %v", err)
	}
	return &wire.BootResponse{Self: wire.FromID(s.life.self), Endpoints: exposed.Endpoints(), Sdk: "go/1"}, nil
}

// connect opens the link's transport: straight to the listener that the broker has made
// for it, if the host says where that is and the kernel tells both who the other is; else,
// as off Linux and behind a wrapper, as gRPC.
func (s *actorServer) connect(ctx context.Context, r *wire.BootRequest) (link.Transport, error) {
	if s.life.identity != nil && r.Address != "" {
		t, err := link.DialDirect(ctx, r.Network, r.Address, s.life.identity, int(r.Parent.GetPid()))
		// A direct connection is only faster, and any failure of it but the end of the boot
		// leads to gRPC, where the reason shows again if it is a real one.
		if err == nil || ctx.Err() != nil {
			return t, err
		}
	}
	conn, err := s.broker.DialWithOptions(r.Broker, grpc.WithInitialWindowSize(link.StreamWindow), grpc.WithInitialConnWindowSize(link.ConnWindow),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(link.MaxPacket)))
	if err != nil {
		return nil, err
	}
	return link.Dial(ctx, conn)
}

// check refuses a boot that this program cannot carry out, before anything is begun. A
// request without an identity or a link comes from a host whose messages have other
// fields.
func (p Plugin) check(r *wire.BootRequest) error {
	if len(r.Tree) > 0 && p.Hosts == nil {
		return fmt.Errorf("the tree gives actor %q children, but this plugin does not host any: "+
			"serve it with sdk.Plugin{Hosts: host.Subtree, …}", r.Self.GetName())
	}
	if r.Self.GetUuid() == "" || r.Broker == 0 {
		return fmt.Errorf("the host's boot request has no identity or no link; host and plugin were built with different versions")
	}
	return nil
}

// leaveGoPlugin undoes what go-plugin has done to the process for its handshake:
// its variables, which children of this process would take for their own (and only
// those: others may begin with PLUGIN_, too), and the replaced standard files, whose
// last lines would be lost when the process ends.
func leaveGoPlugin(l *life) {
	for _, name := range append(environ.GoPlugin(), wire.CookieKey) {
		_ = os.Unsetenv(name) // fails only for names that cannot be set
	}
	os.Stdout, os.Stderr = l.stdout, l.stderr
}
