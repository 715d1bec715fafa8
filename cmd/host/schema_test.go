package main

import (
	"encoding/json"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// link is a type inside itself, in two ways.
type link struct {
	Text []byte           `json:"text"`
	Next *link            `json:"next"`
	More map[string][]int `json:"more"`
	Note string           `json:"note,omitempty"`
}

// A schema says what the types of a contract do.
func TestSchemas(t *testing.T) {
	source := contract.Source[struct {
		Root  string `json:"root"`
		Count uint   `json:"count"`
	}, link]("list")
	hail := contract.Func[string, any]("hail")
	exposed, err := endpoint.Expose(actor.NewID("a"), source.Handle(nil), hail.Handle(nil).Callers("joined"))
	if err != nil {
		t.Fatal(err)
	}
	d := describe(&wire.BootResponse{Self: &wire.Identity{Name: "a", Uuid: "u"}, Endpoints: exposed.Endpoints()})
	for _, e := range d.Endpoints {
		e.Shape = nil
	}
	got, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"version":1,"name":"a","uuid":"u","endpoints":[` +
		`{"name":"hail","kind":"func","callers":["joined"],"schemas":{"arguments":{"type":"string"},"result":{}},"shape":null},` +
		`{"name":"list","kind":"source","schemas":{` +
		`"arguments":{"properties":{"count":{"minimum":0,"type":"integer"},"root":{"type":"string"}},"required":["count","root"],"type":"object"},` +
		`"message":{"properties":{` +
		`"more":{"additionalProperties":{"items":{"type":"integer"},"type":"array"},"type":"object"},` +
		`"next":{"anyOf":[{"type":"null"},{"$ref":"#"}]},` +
		`"text":{"contentEncoding":"base64","type":"string"}},` +
		`"required":["more","next","text"],"type":"object"}},"shape":null}]}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	odd := parseShape("# arguments main.Money\narguments main.Money\nresult ^7\n")
	if text, err := json.Marshal(odd.schemaOf("arguments")); err != nil || string(text) != `{"$comment":"no schema is known of main.Money, which has an encoding of its own"}` {
		t.Errorf("%s, %v", text, err)
	}
	if text, err := json.Marshal(odd.schemaOf("result")); err != nil || string(text) != `{"$comment":"a type inside itself"}` {
		t.Errorf("%s, %v", text, err)
	}
}
