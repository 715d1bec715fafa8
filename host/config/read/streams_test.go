package read_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
)

// M05: the receive buffer is set per actor.
func TestM05_StreamsAreRead(t *testing.T) {
	got, err := parse(one("    streams: {messages: 1, bytes: 64KiB, most: 8, ready_timeout: 2s}\n"), read.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Streams{Messages: 1, Bytes: 64 * config.KiB, Most: 8, ReadyTimeout: config.Duration(2 * time.Second)}
	if diff := cmp.Diff(want, got.Actors[0].Streams); diff != "" {
		t.Error(diff)
	}
	// As a plugin that hosts plugins gets it.
	text, err := json.Marshal(got.Actors)
	var again []config.Actor
	if err == nil {
		err = json.Unmarshal(text, &again)
	}
	if diff := cmp.Diff(got.Actors, again); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// F05 F09: what would be ignored, or taken for something else, is refused.
func TestF05_ProblemsOfStreams(t *testing.T) {
	const at = "f.yaml:4:25: actors.a.streams."
	for text, want := range map[string]string{
		"messages: 0":            at + `messages: expected a number above zero, got "0"; to set none, leave the key out`,
		"messages: 2000000000":   at + "messages: expected a whole number from 1 to 1073741824, got 2000000000",
		"bytes:    2GiB":         at + "bytes: expected at most 1GiB, got 2GiB",
		"bytes:    0":            at + `bytes: expected a number above zero, got "0"; to set none, leave the key out`,
		"most:     8":            at + "most: expected a whole number from messages (64) to 1073741824, got 8",
		"most:     2000000000":   at + "most: expected a whole number from messages (64) to 1073741824, got 2000000000",
		"message: 8":             `f.yaml:4:15: actors.a.streams.message: unknown key; did you mean "messages"?`,
		"most: 1, messages: 4":   "f.yaml:4:21: actors.a.streams.most: expected a whole number from messages (4) to 1073741824, got 1",
		"ready_timeout: soonish": `f.yaml:4:30: actors.a.streams.ready_timeout: expected a duration above zero such as 500ms, 5s or 1m30s, got "soonish"`,
	} {
		t.Run(text, func(t *testing.T) {
			tree, err := parse(one("    streams: {"+text+"}\n"), read.Options{})
			if err == nil {
				t.Fatalf("got %+v", tree.Actors[0].Streams)
			}
			if diff := cmp.Diff(want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// F09: a foreign program has no streams.
func TestF09_StreamsOfAForeignProgram(t *testing.T) {
	foreign := config.Actor{
		Name: "a", Command: []string{"x"}, Streams: config.Streams{Messages: 1},
		GoPlugin: &config.GoPlugin{Cookie: map[string]string{"K": "v"}, Versions: []int{1}},
	}
	const want = "streams: a foreign program serves no endpoints, and has no streams of theirs; remove this"
	if err := foreign.Check(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
