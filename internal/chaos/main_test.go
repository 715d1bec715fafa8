//go:build linux

package main

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be the whole tree.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		play(role)
	}
	goleak.VerifyTestMain(m)
}

// F01, N07, V06, V07 and all others at once: a blow of each kind. The long run is
// "make chaos".
func TestF01_EveryKindOfBlow(t *testing.T) {
	var out strings.Builder
	if err := storm(t.Context(), settings{seed: 5, blows: 1000, each: true, verbose: true}, &out); err != nil {
		t.Errorf("%s\n%v", out.String(), err)
	}
	t.Log(out.String())
}
