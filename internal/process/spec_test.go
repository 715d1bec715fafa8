package process

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/go-plugin"

	"github.com/seed-2ba35074/trellis/internal/environ"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// B13: the names that other packages give to variables between a host and its child.
func TestF09_ReservedAreAllOfThem(t *testing.T) {
	for _, name := range []string{wire.CookieKey, plugin.EnvUnixSocketDir, plugin.EnvUnixSocketGroup} {
		if !environ.Reserved(name) {
			t.Errorf("%s is not reserved", name)
		}
	}
}

// B11, X13: what the operating system would cut off is refused, and nothing is started.
func TestF09_WhatCannotBeCarried(t *testing.T) {
	for name, spec := range map[string]Spec{
		"path":     {Path: "/bin/true\x00"},
		"argument": {Path: "/bin/true", Args: []string{"a\x00b"}},
		"title":    {Path: "/bin/true", Title: "\x00"},
		"dir":      {Path: "/bin/true", Dir: "/\x00"},
		"variable": {Path: "/bin/true", Env: []string{"A=\x00"}},
		"no name":  {Path: "/bin/true", Env: []string{"=v"}},
	} {
		p := New(spec, nil)
		err := p.Start(context.Background())
		if start, ok := errors.AsType[*StartError](err); !ok || !strings.Contains(start.Error(), "expected ") || p.State() != Failed {
			t.Errorf("%s: %v, %v", name, err, p.State())
		}
	}
}
