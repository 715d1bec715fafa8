package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// misfit says what came instead of a type, and in which field.
func misfit(name, what string, want reflect.Type, err error) error {
	e := &fault.ContractError{Endpoint: name, What: what, Want: want.String(), Got: "something else", Detail: err.Error()}
	if c, ok := errors.AsType[*cbor.UnmarshalTypeError](err); ok {
		e.Got, e.Field, e.Detail = c.CBORType, c.StructFieldName, ""
		if c.GoType != "" {
			e.Want = c.GoType
		}
	}
	if j, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		e.Got, e.Field, e.Detail = j.Value, j.Field, ""
		e.Want = want.String() + " (" + j.Type.String() + ")"
	}
	e.Got, e.Field, e.Detail = brief(e.Got), brief(e.Field), brief(e.Detail)
	return e
}

// brief cuts what a decoder says, which may repeat what has come.
func brief(text string) string { return strings.ToValidUTF8(words.Clip(text, 512), "") }

// from names the actor whose payload does not fit: no error of its own has come that would.
func from(sender actor.ID, err error) error {
	if _, misfit := err.(*fault.ContractError); misfit { //nolint:errorlint // what wraps one names its actor
		return fmt.Errorf("%s: %w", sender, err)
	}
	return err
}

// explain completes a fingerprint mismatch: the callee has said what its types
// are, and only here are both known. One that the callee has met itself, elsewhere,
// is not ours to explain.
func explain(s *signature, to interface{ Peer() actor.ID }, err error) error {
	remote, ok := err.(*fault.RemoteError) //nolint:errorlint // what wraps it, or was relayed, is another failure
	if !ok || remote == nil {
		return err
	}
	callee := to.Peer()
	if !remote.Origin.Is(callee) {
		return err
	}
	c, ok := errors.AsType[*fault.ContractError](err)
	if !ok || c.What != endpoint.Mismatch || c.Endpoint != s.name {
		return err
	}
	field, want, got := difference(c.Want, s.shape)
	if field == "" {
		return err
	}
	part := partOf(field)
	return fmt.Errorf("%s: %w: %w", callee, &fault.ContractError{
		Endpoint: s.name, What: part, Field: field,
		Want: fmt.Sprintf("%s with %s", goType(c.Want, part), orAbsent(want)),
		Got:  fmt.Sprintf("%s with %s", goType(s.shape, part), orAbsent(got)),
	}, errRebuild)
}

var errRebuild = errors.New("the two programs were built with different versions of the contract: build both with the same one")

func orAbsent(typ string) string {
	if typ == "" {
		return "no such field"
	}
	return "type " + typ
}

// partOf returns the part of an endpoint that a path begins with.
func partOf(path string) string {
	if end := strings.IndexAny(path, ".[{?"); end >= 0 {
		return path[:end]
	}
	return path
}

// difference names the first field in which two shapes differ, and what each has
// there; "" for a side that lacks it.
func difference(want, got string) (field, wantType, gotType string) {
	w, g := fieldsOf(want), fieldsOf(got)
	all := maps.Clone(w)
	maps.Copy(all, g)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if w[path] != g[path] {
			return path, w[path], g[path]
		}
	}
	return "", "", ""
}

func fieldsOf(shape string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(shape) {
		line = strings.TrimSpace(line)
		if path, typ, ok := strings.Cut(line, " "); ok && !strings.HasPrefix(path, "#") {
			fields[path] = typ
		}
	}
	return fields
}

// goType finds the Go type that a shape notes for a part, such as "arguments".
func goType(shape, part string) string {
	for line := range strings.Lines(shape) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "# "+part+" "); ok {
			return rest
		}
	}
	return "unknown"
}
