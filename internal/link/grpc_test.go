package link_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// Over gRPC, too, a connection that breaks is a loss on both sides, and the reason
// says so: gRPC itself tells a server that somebody cancelled.
func TestF01_ABrokenConnectionIsNoCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := bufconn.Listen(1 << 16)
		accepted := make(chan end, 1)
		server := grpc.NewServer(grpc.WaitForHandlers(true), grpc.ForceServerCodecV2(wire.PacketCodec{}))
		wire.RegisterLinkServer(server, link.NewServer(func(tr link.Transport) <-chan struct{} {
			e := newEnd(tr, "host", 0)
			accepted <- e
			return e.Done()
		}))
		serving := task.Start(func() { _ = server.Serve(ln) }) // ends with Stop
		var raw net.Conn
		conn, err := grpc.NewClient("passthrough:pipe", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (_ net.Conn, err error) {
				raw, err = ln.DialContext(ctx)
				return raw, err
			}))
		if err != nil {
			t.Fatal(err)
		}
		transport, err := link.Dial(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		child := newEnd(transport, "child", 0)
		host := <-accepted
		<-host.Greeted()
		<-child.Greeted()
		raw.Close()
		<-host.Done()
		<-child.Done()
		for _, e := range []end{host, child} {
			if err := e.Err(); err == nil || strings.Contains(strings.ToLower(err.Error()), "cancel") {
				t.Errorf("the link of %v ended with %v", e.Self(), err)
			}
		}
		conn.Close()
		server.Stop()
		serving.Wait()
	})
}
