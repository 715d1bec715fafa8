package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-2ba35074/trellis/host/config"
)

func on(names ...string) map[string]config.Condition {
	m := map[string]config.Condition{}
	for _, n := range names {
		m[n] = config.Started
	}
	return m
}

func TestLevels(t *testing.T) {
	levels := config.Levels([]config.Actor{
		{Name: "d", DependsOn: on("b", "c")}, {Name: "b", DependsOn: on("a")}, {Name: "c"}, {Name: "a"},
	})
	var got []string
	for _, level := range levels {
		var names []string
		for _, a := range level {
			names = append(names, a.Name)
		}
		got = append(got, strings.Join(names, " "))
	}
	if diff := cmp.Diff([]string{"c a", "b", "d"}, got); diff != "" {
		t.Error(diff)
	}
}
