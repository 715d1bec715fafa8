package read_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
)

func TestForeignProgramIsRead(t *testing.T) {
	tree, err := parse(one("    goplugin: {cookie: {SHOP_COOKIE: open}, versions: [1, 2], mtls: off}\n"), read.Options{})
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
		"    goplugin: {cookie: {A: \"\"}, versions: [1]}\n":                    "f.yaml:4:28: actors.a.goplugin.cookie.A: expected the program's MagicCookieValue, it is empty",
		"    goplugin: {cookie: {\"A=B\": c}, versions: [1]}\n":                 `actors.a.goplugin.cookie.A=B: expected the name of a variable, without =, got "A=B"`,
		"    goplugin: {cookie: {PLUGIN_CLIENT_CERT: c}, versions: [1]}\n":      `expected a variable that the host does not set itself, got "PLUGIN_CLIENT_CERT"`,
		"    goplugin: {cookie: {K: v}}\n":                                      "actors.a.goplugin.versions: expected the protocol versions",
		"    goplugin: {cookie: {K: v}, versions: [-1]}\n":                      "f.yaml:4:43: actors.a.goplugin.versions[0]: expected numbers from 0 up, got -1",
		"    goplugin: {cookie: {K: v}, versions: [one]}\n":                     `expected a whole number in decimal digits, got "one"`,
		"    goplugin: {" + fine + "}\n    env: {K: w}\n":                       `f.yaml:5:14: actors.a.env.K: it is the program's cookie`,
		"    goplugin: {" + fine + ", mtls: manual}\n":                          `actors.a.goplugin.mtls: expected auto or off, got "manual"`,
		"    goplugin: {" + fine + ", tls: off}\n":                              `unknown key; did you mean "mtls"?`,
		"    goplugin: {" + fine + "}\n    actors: [{name: b, command: [x]}]\n": "f.yaml:5:13: actors.a.actors: a foreign program cannot start actors",
		"    goplugin: {" + fine + "}\n    stuck: restart\n":                    "f.yaml:5:12: actors.a.stuck: a foreign program has no tasks that could be stuck; remove this",
		"    goplugin: {" + fine + "}\n    health: {endpoint: well}\n":          "f.yaml:5:24: actors.a.health.endpoint: a foreign program serves no endpoints",
		"    goplugin: {" + fine + "}\nrun: {actor: a, endpoint: e}\n":          `f.yaml:5:14: run.actor: expected an actor that serves endpoints, got "a"`,
		"    goplugin: {" + fine + "}\n    mcp: {}\n":                           "f.yaml:5:10: actors.a.mcp: an MCP server is no plugin for go-plugin",
		"    mcp: {}\n    actors: [{name: b, command: [x]}]\n":                  "f.yaml:5:13: actors.a.actors: an MCP server cannot start actors",
		"    mcp: {kind: stdio}\n":                                              "unknown key",
		"  - {name: m, mcp: {}, package: ./m}\n":                                "actors.m.mcp: expected the command that starts the server, got a package",
	} {
		_, err := parse(one(text), read.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngave %v\nwant %s", text, err, want)
		}
	}
}

// F09: what cannot be carried or has no effect is refused where it stands (B11, B13, X8, X13).
func TestF09_ActorsThatCannotBe(t *testing.T) {
	_, err := parse("actors:\n"+
		`- {name: p, dir: "d\0", command: [x, "a\0b"], env: {"A=B": v, "": w, "N\0": x, C: "y\0", A: fine, PLUGIN_MIN_PORT: "1", TRELLIS_LIFELINE: "3", PLUGIN_DATA_DIR: fine}}`+"\n"+
		`- {name: q, package: "-toolexec=evil"}`+"\n", read.Options{})
	wrong, ok := errors.AsType[*config.Error](err)
	if !ok {
		t.Fatal(err)
	}
	var got []string
	for _, p := range wrong.Problems {
		got = append(got, p.Path)
	}
	want := []string{"actors.p.dir", "actors.p.command[1]", "actors.p.env.A=B", "actors.p.env", "actors.p.env.N\x00", "actors.p.env.C",
		"actors.p.env.PLUGIN_MIN_PORT", "actors.p.env.TRELLIS_LIFELINE", "actors.q.package"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +\n%s\n%v", diff, err)
	}
}
