package host

import "testing"

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
