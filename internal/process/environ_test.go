package process

import (
	"slices"
	"strings"
	"testing"
)

func TestEnvironIsAnAllowlist(t *testing.T) {
	for _, key := range []string{"PLUGIN_MIN_PORT", "PLUGIN_CLIENT_CERT", "TRELLIS_LIFELINE", "SECRET_TOKEN", "AWS_REGION", "LC_TIME", "GOFLAGS", "LCX"} {
		t.Setenv(key, "v")
	}
	var keys []string
	for _, entry := range Environ([]string{"AWS_*", "PLUGIN_*", "TRELLIS_LIFELINE"}) {
		key, _, _ := strings.Cut(entry, "=")
		keys = append(keys, key)
	}
	for key, want := range map[string]bool{
		"PATH": true, "LC_TIME": true, "GOFLAGS": true, "AWS_REGION": true,
		"PLUGIN_MIN_PORT": false, "PLUGIN_CLIENT_CERT": false, "TRELLIS_LIFELINE": false, "SECRET_TOKEN": false, "LCX": false,
	} {
		if slices.Contains(keys, key) != want {
			t.Errorf("%s: in the environment is %v", key, !want)
		}
	}
}

func TestMergeEnvLastOneCounts(t *testing.T) {
	got := mergeEnv([]string{"A=1", "B=1", "A=2"}, []string{"B=2"}, nil, []string{"C=3"})
	if want := []string{"A=2", "B=2", "C=3"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
