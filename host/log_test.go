package host

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// O04: a line of one actor never appears as that of another one.
func TestO04_NoChildSpeaksForAnother(t *testing.T) {
	self := actor.NewID("mid")
	name := self.String()
	for _, tc := range []struct {
		line  string
		hosts bool
		actor string
		claim any
	}{
		{`{"level":"error","msg":"x"}`, false, name, nil},
		{`{"level":"error","msg":"x","actor":"root@0"}`, false, name, "root@0"},
		{`{"level":"error","msg":"x","actor":"root@0"}`, true, name + "/root@0", nil},
		{`{"level":"error","msg":"x","actor":"leaf@1/deep@2"}`, true, name + "/leaf@1/deep@2", nil},
		{`{"level":"error","msg":"x","actor":"` + name + `"}`, true, name, nil},
		{`{"level":"error","msg":"x","actor":"` + name + `"}`, false, name, nil},
		{`{"level":"error","msg":"x","actor":""}`, true, name, ""},
		{`{"level":"error","msg":"x","actor":{"name":"root"}}`, true, name, map[string]any{"name": "root"}},
		{`{"level":"error","msg":"x","actor":"a","actor":"root@0"}`, false, name, "root@0"},
	} {
		var out bytes.Buffer
		l := newLogger(slog.New(slog.NewJSONHandler(&out, nil)), self, tc.hosts)
		l.line(process.Line{Stream: process.Stderr, Text: []byte(tc.line)})
		var got map[string]any
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v", tc.line, err)
		}
		claim, err := json.Marshal(got[claimKey])
		want, errWant := json.Marshal(tc.claim)
		if err != nil || errWant != nil {
			t.Fatal(err, errWant)
		}
		if got[actorKey] != tc.actor || !bytes.Equal(claim, want) || bytes.Count(out.Bytes(), []byte(`"actor":`)) != 1 {
			t.Errorf("%s (hosts: %v): %s, want actor %s and claim %s", tc.line, tc.hosts, out.Bytes(), tc.actor, want)
		}
	}
}

func TestN16_LastWordsAreWordsForPeople(t *testing.T) {
	for line, want := range map[string]string{
		"plain":                            "plain",
		"":                                 "",
		`{"level":"DEBUG","msg":"detail"}`: "",
		`{"level":"INFO","msg":"detail"}`:  "",
		`{"level":"WARN","msg":"careful"}`: "careful",
		`{"level":"ERROR","msg":"no","error":"disk"}`: "no: disk",
		`{"@level":"error","@message":"hclog"}`:       "hclog",
		`{"answer": 42}`:                              `{"answer": 42}`,
		`{no JSON`:                                    `{no JSON`,
	} {
		if got := gist([]byte(line)); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
