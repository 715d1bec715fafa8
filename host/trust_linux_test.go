package host_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/rundir"
	"github.com/seed-2ba35074/trellis/internal/trust"
)

// socketsOf are the sockets that the tree of this process has.
func socketsOf(t *testing.T) (paths []string) {
	t.Helper()
	dir, err := rundir.Open()
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		info, statErr := d.Info()
		if err != nil || statErr != nil {
			return errors.Join(err, statErr)
		}
		if d.Type() == fs.ModeSocket {
			paths = append(paths, path)
		}
		if d.IsDir() && info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// listen hears what a server says to a stranger.
func listen(t *testing.T, socket string, stranger *tls.Config) error {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	secure := tls.Client(conn, stranger)
	if _, err := secure.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err != nil {
		return err
	}
	_, err = io.ReadFull(secure, make([]byte, 1))
	return err
}

func TestStrangersGetNothingFromAnySocket(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, spec(t, "a", "good"))
		if err != nil {
			return err
		}
		// Another tree's authority, for the very same names.
		forger, err := trust.NewAuthority(n.Self().UUID)
		if err != nil {
			return err
		}
		forged := forger.Host(p.ID().UUID)
		forged.InsecureSkipVerify, forged.VerifyConnection = true, nil
		anonymous := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}
		direct := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{link.LocalProtocol}}
		forged.NextProtos = []string{link.LocalProtocol, "h2"}
		sockets := socketsOf(t)
		if len(sockets) == 0 {
			t.Error("the tree has no socket to try")
		}
		for _, socket := range sockets {
			for name, stranger := range map[string]*tls.Config{"anonymous": anonymous, "direct": direct, "forged": forged} {
				if err := listen(t, socket, stranger); err == nil {
					t.Errorf("%s was answered at %s", name, socket)
				}
			}
			checkPlain(ctx, t, socket)
		}
		if got, err := echo.Call(ctx, p, "still here"); got != "still here" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkPlain asks without any TLS.
func checkPlain(ctx context.Context, t *testing.T, socket string) {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}); err == nil {
		t.Errorf("plain text was answered at %s: %v", socket, answer)
	}
}

// TestNothingSecretIsInTheEnvironment: everybody of the same user can read it.
func TestNothingSecretIsInTheEnvironment(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, spec(t, "a", "good"))
		if err != nil {
			return err
		}
		environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.ID().PID))
		if err != nil {
			return err
		}
		for entry := range strings.SplitSeq(string(environment), "\x00") {
			key, value, _ := strings.Cut(entry, "=")
			if strings.Contains(value, "CERTIFICATE") || strings.Contains(value, "PRIVATE") || key == trust.Variable && len(value) > 2 {
				t.Errorf("%s is in the environment", entry)
			}
		}
		if !strings.Contains(string(environment), trust.Variable+"=") {
			t.Errorf("it was given no identity: %q", environment)
		}
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
