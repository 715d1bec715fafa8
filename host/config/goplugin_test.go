package config_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-2ba35074/trellis/host/config"
)

func TestForeignProgramIsRead(t *testing.T) {
	tree, err := parse(one("    goplugin: {cookie: {SHOP_COOKIE: open}, versions: [1, 2], mtls: off}\n"), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := &config.GoPlugin{Cookie: map[string]string{"SHOP_COOKIE": "open"}, Versions: []int{1, 2}, MTLS: config.MTLSOff}
	if diff := cmp.Diff(want, tree.Actors[0].GoPlugin); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
	sent, err := json.Marshal(tree.Actors[0])
	if err != nil {
		t.Fatal(err)
	}
	var got config.Actor
	if err := json.Unmarshal(sent, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tree.Actors[0], got); diff != "" {
		t.Errorf("on its way to another host it changed: sent -, received +\n%s", diff)
	}
}

func TestForeignProgramsThatCannotBe(t *testing.T) {
	const fine = "cookie: {K: v}, versions: [1]"
	for text, want := range map[string]string{
		"    goplugin: {versions: [1]}\n":                                       "f.yaml:4:15: actors.a.goplugin.cookie: expected exactly one {KEY: value}",
		"    goplugin: {cookie: {A: a, B: b}, versions: [1]}\n":                 "f.yaml:4:24: actors.a.goplugin.cookie: expected exactly one {KEY: value}",
		"    goplugin: {cookie: {A: \"\"}, versions: [1]}\n":                    `neither empty, got "A": ""`,
		"    goplugin: {cookie: {\"A=B\": c}, versions: [1]}\n":                 `got "A=B": "c"`,
		"    goplugin: {cookie: {PLUGIN_CLIENT_CERT: c}, versions: [1]}\n":      `not the protocol's own, got "PLUGIN_CLIENT_CERT"`,
		"    goplugin: {cookie: {K: v}}\n":                                      "actors.a.goplugin.versions: expected the protocol versions",
		"    goplugin: {cookie: {K: v}, versions: [-1]}\n":                      "f.yaml:4:42: actors.a.goplugin.versions: expected numbers from 0 up, got -1",
		"    goplugin: {cookie: {K: v}, versions: [one]}\n":                     `expected a whole number, got "one"`,
		"    goplugin: {" + fine + ", mtls: manual}\n":                          `actors.a.goplugin.mtls: expected auto or off, got "manual"`,
		"    goplugin: {" + fine + ", tls: off}\n":                              `unknown key; did you mean "mtls"?`,
		"    goplugin: {" + fine + "}\n    actors: [{name: b, command: [x]}]\n": "f.yaml:5:13: actors.a.actors: a foreign program cannot start actors",
		"    goplugin: {" + fine + "}\n    health: {endpoint: well}\n":          "f.yaml:5:24: actors.a.health.endpoint: a foreign program serves no endpoints",
		"    goplugin: {" + fine + "}\nrun: {actor: a, endpoint: e}\n":          `f.yaml:5:14: run.actor: expected an actor that serves endpoints, got "a"`,
	} {
		_, err := parse(one(text), config.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngave %v\nwant %s", text, err, want)
		}
	}
}
