package document

import (
	"errors"
	"iter"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Description is the document of host describe: what is known of an actor, and these in the place of what that has.
type Description struct {
	Version int `json:"version"`
	*inspect.Actor
	Endpoints []*Endpoint `json:"endpoints"`
	Log       []Record    `json:"log"`
}

// Endpoint is an endpoint that an actor serves, with a JSON Schema for each of its parts.
type Endpoint struct {
	Name    string                    `json:"name"`
	Kind    string                    `json:"kind"`
	Callers []string                  `json:"callers,omitempty"`
	Schemas map[string]map[string]any `json:"schemas"`
	Shape   []string                  `json:"shape"`
	// Optional are lines of fields that may be left out, which the shape only tells.
	Optional []string `json:"-"`
}

// Describe makes the description of what is known of an actor.
func Describe(a *inspect.Actor) *Description {
	d := &Description{Version: Version, Actor: a, Endpoints: []*Endpoint{}, Log: []Record{}}
	for _, r := range a.Log {
		d.Log = append(d.Log, OfRecord(&r))
	}
	for _, e := range a.Endpoints {
		s := parseShape(e.Shape)
		shown := &Endpoint{Name: e.Name, Kind: e.Kind, Callers: e.Callers, Schemas: map[string]map[string]any{}, Shape: []string{}}
		for _, part := range s.parts() {
			shown.Schemas[part] = s.schemaOf(part)
		}
		for line := range strings.Lines(e.Shape) {
			line = strings.TrimSuffix(line, "\n")
			if optional, is := strings.CutPrefix(line, "#+ "); is {
				shown.Optional = append(shown.Optional, s.noted(optional))
			} else if !strings.HasPrefix(line, "#") {
				shown.Shape = append(shown.Shape, line)
			}
		}
		d.Endpoints = append(d.Endpoints, shown)
	}
	return d
}

// Last are the last ones of a loop over records or spans, and how many are not kept any more.
func Last[T any](all iter.Seq2[T, error], most int) (kept []T, lost int, err error) {
	kept = []T{}
	for one, err := range all {
		lagged, behind := errors.AsType[*fault.Lagged](err)
		switch {
		case behind:
			lost += lagged.Missed
		case err != nil:
			return kept, lost, err
		default:
			kept = append(kept, one)
			kept = kept[max(0, len(kept)-most):]
		}
	}
	return kept, lost, nil
}

// Record is a record as an object.
type Record struct {
	*telemetry.Record
	Fields map[string]any `json:"fields,omitempty"` // in the place of the record's own
}

// OfRecord is a record with its fields by their names.
func OfRecord(r *telemetry.Record) Record {
	fields := make(map[string]any, len(r.Fields))
	for _, f := range r.Fields {
		fields[f.Key] = f.Value
	}
	return Record{r, fields}
}
