package actor_test

import (
	"encoding/json"
	"testing"

	"github.com/seed-2ba35074/trellis/shared/actor"
)

func TestN12_IdentityIsTheUUID(t *testing.T) {
	a, b := actor.NewID("walker"), actor.NewID("walker")
	if a.Is(b) || !a.Is(a) {
		t.Error("two actors of one name are two")
	}
	renamed := a
	renamed.Name, renamed.PID = "other", 7
	if !a.Is(renamed) {
		t.Error("name and pid do not make another actor")
	}
	if len(a.UUID) != 36 || a.PID != 0 || a.IsZero() {
		t.Errorf("%+v", a)
	}
}

func TestN12_Titles(t *testing.T) {
	for _, c := range []struct {
		id           actor.ID
		short, title string
	}{
		{actor.ID{Name: "walker", UUID: "0123abcd-0000-4000-8000-000000000000"}, "walker@0123abcd", "trellis[walker@0123abcd]"},
		{actor.ID{Name: "w", UUID: "abc"}, "w@abc", "trellis[w@abc]"},
		{actor.ID{}, "nobody", "trellis[nobody]"},
	} {
		if c.id.String() != c.short || c.id.Title() != c.title {
			t.Errorf("%s, %s", c.id, c.id.Title())
		}
	}
}

func TestJSONNames(t *testing.T) {
	b, err := json.Marshal(actor.ID{Name: "n", UUID: "u", PID: 1})
	if err != nil || string(b) != `{"name":"n","uuid":"u","pid":1}` {
		t.Errorf("%s, %v: other languages read these names", b, err)
	}
}
