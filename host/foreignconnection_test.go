package host

import (
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// counting reports every connection that is made.
type counting struct {
	net.Listener
	made chan struct{}
}

func (c counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.made <- struct{}{}
	}
	return conn, err
}

// V08: a server that closes its connections now and then, as some are set up to, is
// not lost; one that has stopped is.
func TestV08_AConnectionThatIsMadeAgainIsNotLost(t *testing.T) {
	address := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	made := make(chan struct{}, 1000)
	server := grpc.NewServer(grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 10 * time.Millisecond, MaxConnectionAgeGrace: time.Millisecond}))
	serving := task.Start(func() { _ = server.Serve(counting{ln, made}) }) // until Stop
	conn, err := grpc.NewClient("unix:"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	client := newPluginClient(t.Context())
	client.conn = conn
	c := newForeignConnection(client)
	for range 4 {
		select {
		case <-made:
		case <-c.gone():
			t.Fatal("the connection counts as lost")
		}
	}
	if err := c.ask(wire.CancelRequest{}); err != nil && !errors.Is(err, errCannotBeAsked) { // nil: as a connection ended
		t.Errorf("asking a server without a controller gave %v", err)
	}
	server.Stop()
	serving.Wait()
	<-c.gone()
	if c.breach() == nil {
		t.Error("it is lost for no reason")
	}
	c.close(errors.New("over"))
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}
