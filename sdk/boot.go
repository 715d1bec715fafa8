package sdk

import (
	"cmp"
	"context"
	"os"
	"sync"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/seed-2ba35074/trellis/internal/environ"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// actorServer answers the host's Boot. go-plugin's server has one, which lives as long as
// the process.
type actorServer struct {
	wire.UnimplementedActorServer
	program *program
	broker  *plugin.GRPCBroker
	leave   sync.Once
}

// Boot makes this process the actor that the host says it is, and returns when it is ready
// to be called. gRPC may call it on several goroutines, and the life lets the first call
// alone through.
func (s *actorServer) Boot(ctx context.Context, r *wire.BootRequest) (*wire.BootResponse, error) {
	s.leave.Do(s.program.leaveGoPlugin)
	return s.program.life.Boot(ctx, r, func(ctx context.Context) (link.Transport, error) { return s.connect(ctx, r) })
}

// connect opens the link's transport: straight to the listener that the broker has made
// for it, if the host says where that is and the kernel tells both who the other is; else,
// as off Linux and behind a wrapper, as gRPC.
func (s *actorServer) connect(ctx context.Context, r *wire.BootRequest) (link.Transport, error) {
	if _, err := link.Choice(); err != nil {
		return nil, err
	}
	if s.program.identity != nil && r.Address != "" {
		t, err := link.DialDirect(ctx, r.Network, r.Address, s.program.identity, int(cmp.Or(r.Listener, r.Parent.GetPid())))
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

// leaveGoPlugin undoes what go-plugin has done to the process for its handshake:
// its variables, which children of this process would take for their own (and only
// those: others may begin with PLUGIN_, too), and the replaced standard files, whose
// last lines would be lost when the process ends.
func (p *program) leaveGoPlugin() {
	for _, name := range append(environ.GoPlugin(), wire.CookieKey) {
		_ = os.Unsetenv(name) // fails only for names that cannot be set
	}
	os.Stdout, os.Stderr = p.stdout, p.stderr
}
