package sdk

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/trust"
)

// A plugin says in its log what the host, which refuses it, cannot know.
func TestRehearsalReportsABadIdentity(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	good := identity(t, "child")
	rehearse(nil, log) // go-plugin's AutoMTLS
	rehearse(good, log)
	if text.Len() > 0 {
		t.Errorf("a good identity gives %s", text.String())
	}
	good.Certificates = identity(t, "child").Certificates // of another host's child
	rehearse(good, log)
	if !strings.Contains(text.String(), "will not accept this plugin") {
		t.Errorf("a bad one gives %q", text.String())
	}
}

// identity is one that a host has made.
func identity(t *testing.T, name string) *tls.Config {
	t.Helper()
	authority, err := trust.NewAuthority("host")
	if err != nil {
		t.Fatal(err)
	}
	return authority.Host(name)
}
