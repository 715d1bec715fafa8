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
func TestRehearsalTellsOfABadIdentity(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)

	good := identity(t, "child")
	rehearse(nil) // go-plugin's AutoMTLS
	rehearse(good)
	if log.Len() > 0 {
		t.Errorf("a good identity gives %s", log.String())
	}
	good.Certificates = identity(t, "child").Certificates // of another host's child
	rehearse(good)
	if !strings.Contains(log.String(), "will not accept this plugin") {
		t.Errorf("a bad one gives %q", log.String())
	}
}

// identity is one that a host has made.
func identity(t *testing.T, name string) *tls.Config {
	t.Helper()
	authority, err := trust.NewAuthority("host")
	if err != nil {
		t.Fatal(err)
	}
	config, err := authority.Host(name)
	if err != nil {
		t.Fatal(err)
	}
	return config
}
