package host_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/fabric"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/sdk"
)

// Where the hosts of these tests serve, for this program and those that it starts: the address of TCP, if any,
// and the folder with the credentials of the host.
const (
	listenVar      = "TRELLIS_TEST_LISTEN"
	credentialsVar = "TRELLIS_TEST_CREDENTIALS"
)

// overBoth runs a test whose programs join over a socket of this machine, and again as if from another one.
func overBoth(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Run("socket", func(t *testing.T) {
		tempdir.Use(t)
		test(t)
	})
	t.Run("tls", func(t *testing.T) {
		overTLS(t)
		tempdir.Use(t)
		test(t)
	})
}

// loopback is an address that only this process uses.
func loopback() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d:7077", 1+pid>>16&127, pid>>8&255, pid&255)
}

// overTLS has the programs of a test join as if from another machine.
func overTLS(t *testing.T) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "b")
	ca, err := fleet.NewCA(filepath.Join(t.TempDir(), "ca"))
	if err == nil {
		err = ca.Issue("b", dir, fleet.DefaultLifetime)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(listenVar, loopback())
	t.Setenv(credentialsVar, dir)
}

// site is where the host of a test is joined, and with what.
func site() (address string, credentials *fleet.Credentials) {
	listen := os.Getenv(listenVar)
	if listen == "" {
		return "", nil
	}
	credentials, err := fleet.LoadCredentials(os.Getenv(credentialsVar))
	if err != nil {
		panic(err)
	}
	return "tls://b@" + listen, credentials
}

// isRemote reports whether the programs of a test join as if from another machine.
func isRemote() bool { return os.Getenv(listenVar) != "" }

// reached are options with the address at which the programs of a test join.
func reached(o host.Options) host.Options {
	if address, credentials := site(); credentials != nil {
		o.Fleet = &host.Fleet{Credentials: credentials, Listen: strings.TrimPrefix(address, "tls://b@")}
	}
	return o
}

// D04: who is not a host of the fleet does not join, and is told so; who expects another host does not either.
func TestD04_StrangersFromElsewhere(t *testing.T) {
	tempdir.Use(t)
	overTLS(t)
	address, own := site()
	listen := strings.TrimPrefix(address, "tls://b@")
	overTLS(t) // another fleet
	_, other := site()
	t.Setenv(listenVar, "")
	o := serving()
	o.Fleet = &host.Fleet{Credentials: own, Listen: listen}
	log, err := open(t, o, func(ctx context.Context, _ *host.Nursery) error {
		for _, c := range []struct {
			address     string
			credentials *fleet.Credentials
			want        string
		}{
			{"tls://" + listen, other, "not a host of this fleet"},
			{"tls://a@" + listen, own, "the other end is the host b, expected a"},
			{"tls://" + listen, nil, "credentials"},
			{"tls://A@" + listen, own, "expected 1 to 63"},
			{"tls://127.0.0.1", own, "expected tls://HOST:PORT"},
		} {
			err := host.Join(ctx, c.address, host.JoinOptions{Credentials: c.credentials}, func(context.Context) error { return nil })
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("D04: %s: %v", c.address, err)
			}
		}
		return host.Join(ctx, "tls://"+listen, host.JoinOptions{Name: "guest", Credentials: own}, func(ctx context.Context) error {
			text, err := upper.Call(ctx, sdk.Parent(ctx), "hello")
			if err == nil && text != "HELLO" {
				t.Errorf("D04: %q", text)
			}
			return err
		})
	})
	if err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "a program could not join") {
		t.Errorf("D04: strangers are not told\n%s", log)
	}
}

// D04: a host that cannot be reached from elsewhere does not begin.
func TestD04_ListeningElsewhereFails(t *testing.T) {
	tempdir.Use(t)
	overTLS(t)
	_, credentials := site()
	for _, f := range []*host.Fleet{
		{Listen: "127.0.0.1:0"},
		{Listen: "192.0.2.1:7077", Credentials: credentials}, // not of this machine
	} {
		err := host.OpenNursery(t.Context(), host.Options{Serve: "default", Fleet: f}, func(context.Context, *host.Nursery) error {
			t.Errorf("D04: it listens at %s", f.Listen)
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "listen for other machines") {
			t.Errorf("D04: %v", err)
		}
		if f.Credentials != nil && !errors.As(err, new(*net.OpError)) {
			t.Errorf("D04: %v", err)
		}
	}
}

// D04: hosts of the fleet that connect and say nothing keep nobody from joining.
func TestD04_SilentHostsTakeNoPlace(t *testing.T) {
	tempdir.Use(t)
	overTLS(t)
	_, err := open(t, serving(), func(ctx context.Context, _ *host.Nursery) error {
		address, credentials := site()
		peer, at, err := fabric.ParseAddress(address)
		if err != nil {
			return err
		}
		var silent []*fabric.Conn
		for range 100 {
			conn, err := fabric.Dial(ctx, credentials, at, peer)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			silent = append(silent, conn)
		}
		if err := join(ctx, "guest", func(context.Context) error { return nil }); err != nil {
			t.Errorf("D04: %v", err)
		}
		for _, conn := range silent[:30] { // more are waiting than there may be
			answer, _ := io.ReadAll(conn)                                                   // it ends with the connection
			if len(answer) > 0 && !strings.Contains(string(answer), "no greeting within") { // it may be late before another one comes
				t.Errorf("D04: a host that says nothing is answered: %q", answer)
			}
		}
		// One that says something else is told no more than that.
		conn, err := fabric.Dial(ctx, credentials, at, peer)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n"); err != nil {
			return err
		}
		answer, _ := io.ReadAll(conn) // it ends with the connection
		if !strings.Contains(string(answer), "another kind of program") {
			t.Errorf("D04: %q", answer)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
