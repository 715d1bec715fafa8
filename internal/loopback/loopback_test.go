package loopback_test

import (
	"testing"

	"github.com/seed-2ba35074/trellis/internal/loopback"
)

func TestNames(t *testing.T) {
	for host, want := range map[string]struct {
		name string
		own  bool
	}{
		"localhost": {"localhost", true}, "localhost:80": {"localhost", true}, "127.0.0.1:80": {"127.0.0.1", true}, "127.8.9.1": {"127.8.9.1", true},
		"[::1]:80": {"::1", true}, "[::1]": {"::1", true}, "::1": {"::1", true},
		"": {"", false}, ":80": {"", false}, "0.0.0.0:80": {"0.0.0.0", false}, "[::]:80": {"::", false}, "evil.example:80": {"evil.example", false},
		"127.0.0.1.evil.example": {"127.0.0.1.evil.example", false}, "localhost.evil.example": {"localhost.evil.example", false},
	} {
		name := loopback.Name(host)
		if own := loopback.Is(name); name != want.name || own != want.own {
			t.Errorf("%q is %q, %v; want %q, %v", host, name, own, want.name, want.own)
		}
	}
}
