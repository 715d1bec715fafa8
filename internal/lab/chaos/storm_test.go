//go:build linux && lab

package main

import (
	"strings"
	"testing"
)

// F01, N07, V06, V07 and all others at once: a blow of each kind. The long run is
// "make chaos".
func TestF01_EveryKindOfBlow(t *testing.T) {
	var out strings.Builder
	if err := storm(t.Context(), settings{seed: 5, blows: 1000, each: true, verbose: true}, &out); err != nil {
		t.Errorf("%s\n%v", out.String(), err)
	}
	t.Log(out.String())
}
