package etcd_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/registry/etcd"
)

func TestSettings(t *testing.T) {
	for want, s := range map[string]fleet.Settings{
		"no endpoints":                {},
		"not an address":              {Endpoints: []string{"http://127.0.0.1:2379"}},
		"ttl is 1s":                   {Endpoints: []string{"127.0.0.1:2379"}, TTL: time.Second},
		"margin is 3s":                {Endpoints: []string{"127.0.0.1:2379"}, Margin: 3 * time.Second},
		"are for etcdembed":           {Endpoints: []string{"127.0.0.1:2379"}, Dir: "data"},
		"credentials of the registry": {Endpoints: []string{"127.0.0.1:2379"}, Credentials: t.TempDir()},
	} {
		if _, err := etcd.Open(t.Context(), s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %q in it", s, err, want)
		}
	}
}

// An error says which servers were tried, and what became of that.
func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := etcd.Open(t.Context(), fleet.Settings{Endpoints: []string{address}, TTL: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Join(t.Context(), fleet.Host{Name: "a"})
	if !errors.Is(err, fleet.ErrUnavailable) || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("joining: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Hosts(t.Context()); !errors.Is(err, fleet.ErrClosed) {
		t.Errorf("after closing: %v", err)
	}
}
