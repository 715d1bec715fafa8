package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/inspect"
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
	a := &inspect.Actor{}
	for _, e := range exposed.Endpoints() {
		a.Endpoints = append(a.Endpoints, inspect.Endpoint{Name: e.Name, Kind: dialog.KindName(e.Kind), Callers: e.Callers, Shape: e.Shape})
	}
	d := Describe(a)
	for _, e := range d.Endpoints {
		e.Shape = nil
	}
	got, err := json.Marshal(d.Endpoints)
	if err != nil {
		t.Fatal(err)
	}
	const want = `[` +
		`{"name":"hail","kind":"func","callers":["joined"],"schemas":{"arguments":{"type":"string"},"result":{}},"shape":null},` +
		`{"name":"list","kind":"source","schemas":{` +
		`"arguments":{"additionalProperties":false,"properties":{"count":{"minimum":0,"type":"integer"},"root":{"type":"string"}},"required":["count","root"],"type":"object"},` +
		`"message":{"additionalProperties":false,"properties":{` +
		`"more":{"additionalProperties":{"items":{"type":"integer"},"type":["array","null"]},"type":["object","null"]},` +
		`"next":{"anyOf":[{"type":"null"},{"$ref":"#"}]},` +
		`"note":{"type":"string"},` +
		`"text":{"contentEncoding":"base64","items":{"maximum":255,"minimum":0,"type":"integer"},"type":["string","array","null"]}},` +
		`"required":["more","text"],"type":"object"}},"shape":null}]`
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

type (
	leaf struct {
		Name string `json:"name"`
	}
	embedded struct {
		Inner int `json:"inner,omitempty"`
	}
	everything struct {
		embedded

		Flag    bool              `json:"flag"`
		Text    string            `json:"text"`
		Whole   int8              `json:"whole"`
		Count   uint64            `json:"count"`
		Real    float32           `json:"real"`
		Bytes   []byte            `json:"bytes"`
		Fixed   [2]byte           `json:"fixed"`
		When    time.Time         `json:"when"`
		Raw     json.RawMessage   `json:"raw"`
		Any     any               `json:"any"`
		Pointer *leaf             `json:"pointer"`
		Leaves  []leaf            `json:"leaves"`
		ByName  map[string]leaf   `json:"by_name"`
		ByInt   map[int]bool      `json:"by_int"`
		Some    string            `json:"some,omitempty"`
		Zero    time.Time         `json:"zero,omitzero"`
		Deep    map[string][]leaf `json:"deep,omitempty"`
		Again   *everything       `json:"again,omitempty"`
		Odd     int               `json:"odd/name~,omitempty"`
		Skipped int               `json:"-"`
		Plain   leaf
	}
)

func schemaFor(t *testing.T, h contract.Handler, part string) *jsonschema.Schema {
	t.Helper()
	exposed, err := endpoint.Expose(actor.NewID("a"), h)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(parseShape(exposed.Endpoints()[0].Shape).schemaOf(part))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err = errors.Join(err, c.AddResource("shape.json", doc)); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("shape.json")
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return s
}

// What a schema allows is taken by an endpoint that is called by hand, and what such an endpoint gives the schema allows: each value
// with each of its fields left out, null, of another type, and with one that the type does not have.
func TestSchemasSayWhatIsTaken(t *testing.T) {
	schema := schemaFor(t, contract.Func[everything, struct{}]("f").Handle(nil), "arguments")
	valid := func(text []byte) bool {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(v) == nil
	}
	full := everything{
		embedded: embedded{7}, Raw: json.RawMessage(`{"x":[1]}`), Any: []any{"a", 1}, Pointer: &leaf{"p"}, Leaves: []leaf{{"l"}}, ByName: map[string]leaf{"n": {"m"}}, Bytes: []byte{1},
		ByInt: map[int]bool{-1: true}, Some: "s", Zero: time.Unix(1, 0), Deep: map[string][]leaf{"d": {{"e"}}}, Again: &everything{Raw: json.RawMessage("1"), Some: "t"}, Odd: 1,
	}
	var names []string
	taken, refused := 0, 0
	for _, given := range []everything{{Raw: json.RawMessage("null")}, full} {
		b := wire.NewBuffer(0)
		if err := codecs.JSON.Marshal(b, given, nil); err != nil {
			t.Fatal(err)
		}
		if !valid(b.Bytes()) {
			t.Errorf("this is given, and not allowed: %s", b.Bytes())
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(b.Bytes(), &fields); err != nil {
			t.Fatal(err)
		}
		names = slices.AppendSeq(append(names[:0], "unknown"), maps.Keys(fields))
		for _, name := range names {
			for _, other := range []string{"", "null", "true", "1", "-1", "1.5", `"text"`, `"2020-01-02T03:04:05Z"`, `""`, "[]", `["x"]`, "{}", `{"name":"x"}`, `{"name":null}`, `{"x":{"name":"x"}}`, `{"1":true}`, `[{"name":"x"}]`, `{"d":[{"name":"x","more":1}]}`, `{"d":[{}]}`, `{"d":null}`} {
				changed := maps.Clone(fields)
				if changed[name] = json.RawMessage(other); other == "" {
					delete(changed, name)
				}
				text, err := json.Marshal(changed)
				if err != nil {
					t.Fatal(err)
				}
				var into everything
				switch err := codecs.JSON.Unmarshal(text, &into); {
				case !valid(text):
					refused++
				case err != nil && name != "bytes" && name != "fixed": // whose base64 and length a schema does not check
					t.Errorf("%s = %s is allowed, and not taken: %v", name, other, err)
				default:
					taken++
				}
			}
		}
	}
	if taken < 100 || refused < 100 {
		t.Errorf("%d values were taken, and %d refused, of %q: the test looks at nothing", taken, refused, names)
	}
	for _, text := range []string{"some", "zero", "deep", "again", "pointer", "odd/name~", "inner"} {
		if slices.Contains(schema.Required, text) {
			t.Errorf("%s is required", text)
		}
	}
	if !slices.Contains(schema.Required, "text") || len(schema.Properties) != len(names)-1 {
		t.Errorf("required are %v of %d fields", schema.Required, len(schema.Properties))
	}
}

type (
	bush struct {
		A *twig `json:"a,omitempty"`
		B *twig `json:"b,omitempty"`
	}
	twig struct {
		C, D, E, F, G, H *shrub `json:",omitempty"`
	}
	shrub struct {
		I, J, K, L, M, N, O, P *[]map[string]leaf `json:",omitempty"`
	}
	garden struct {
		Bush bush `json:"bush,omitzero"`
		Leaf leaf `json:"leaf,omitzero"`
	}
)

// Fields that may be left out are told within a bound, and each of them whole or not at all.
func TestSchemasOfLargeTypes(t *testing.T) {
	exposed, err := endpoint.Expose(actor.NewID("a"), contract.Func[garden, bush]("f").Handle(nil))
	if err != nil {
		t.Fatal(err)
	}
	s := parseShape(exposed.Endpoints()[0].Shape)
	for part, want := range map[string]string{
		"arguments": `{"additionalProperties":false,"properties":{"bush":{"$comment":"what is in it the actor does not say"},` +
			`"leaf":{"additionalProperties":false,"properties":{"name":{"type":"string"}},"required":["name"],"type":"object"}},"required":[],"type":"object"}`,
		"result": `{"additionalProperties":false,"properties":{"a":{"anyOf":[{"type":"null"},`,
	} {
		text, err := json.Marshal(s.schemaOf(part))
		if err != nil || !strings.HasPrefix(string(text), want) {
			t.Errorf("%s is %s, %v; want %s", part, text, err, want)
		}
	}
	if most := 2 * 300; len(s.types) > most {
		t.Errorf("%d lines are told, more than %d", len(s.types), most)
	}
}

// host describe says of a field that it may be left out, and not of what is in it.
func TestOptionalFieldsAreNoted(t *testing.T) {
	s := parseShape("#? a.b\n#+ a.b[] object\n#+ a.b[].c int\n#? a.b[].d\n#+ a.b[].d{key} string\n#+ a.b[].d{} int\n")
	for line, want := range map[string]string{
		"a.b[] object": "a.b[] object, may be left out", "a.b[].c int": "a.b[].c int", "a.b[].d{} int": "a.b[].d{} int, may be left out",
	} {
		if got := s.noted(line); got != want {
			t.Errorf("%q is %q, want %q", line, got, want)
		}
	}
}
