package document

import (
	"slices"
	"strconv"
	"strings"
)

// shape is what an endpoint says of its types (docs/protocol, Fingerprints).
type shape struct {
	types    map[string]string // for each path
	optional map[string]bool   // fields that may be left out
}

func parseShape(text string) shape {
	s := shape{map[string]string{}, map[string]bool{}}
	for line := range strings.Lines(text) {
		first, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch {
		case !ok || first == "#":
		case first == "#?":
			s.optional[rest] = true
		case first == "#+":
			if path, typ, ok := strings.Cut(rest, " "); ok {
				s.types[path] = typ
			}
		default:
			s.types[first] = rest
		}
	}
	return s
}

// noted is a line about what is in a field that may be left out, which it says of the field itself.
func (s shape) noted(line string) string {
	path, _, _ := strings.Cut(line, " ")
	for field := range s.optional {
		if rest, is := strings.CutPrefix(path, field); is && strings.Trim(rest, "?[]{}key") == "" {
			return line + ", may be left out"
		}
	}
	return line
}

// schemaOf is a JSON Schema for the values of a part of an endpoint, as a call by hand takes and
// gives them: what it allows is taken, if numbers are in the range of their Go types, and what is given it allows.
func (s shape) schemaOf(part string) map[string]any { return s.schema(part, "#", nil) }

// parts are those that the shape has, such as "arguments" and "result".
func (s shape) parts() (names []string) {
	for path := range s.types {
		names = append(names, path[:len(path)-len(strings.TrimLeft(path, "abcdefghijklmnopqrstuvwxyz"))])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// plainTypes are the schemas of types that have no parts.
var plainTypes = map[string]map[string]any{
	"bool": {"type": "boolean"}, "string": {"type": "string"}, "int": {"type": "integer"}, "uint": {"type": "integer", "minimum": 0},
	"float": {"type": "number"}, "time": {"type": "string", "format": "date-time"},
	"json": {}, "any": {},
	// Where the Go type is an array, and no slice, JSON has a list.
	"bytes": {"type": []string{"string", "array", "null"}, "contentEncoding": "base64", "items": map[string]any{"type": "integer", "minimum": 0, "maximum": 255}},
}

// keyPatterns are those of the names in an object that is a map with keys of a type.
var keyPatterns = map[string]string{"int": "^-?[0-9]+$", "uint": "^[0-9]+$"}

// pointer makes a name a part of a JSON Pointer.
var pointer = strings.NewReplacer("~", "~0", "/", "~1")

// schema is that of the value at a path. at is where it stands in the document, and entered where those
// stand that it is in, to which a type refers that is inside itself.
func (s shape) schema(path, at string, entered []string) map[string]any {
	within := append(slices.Clone(entered), at)
	switch typ, known := s.types[path]; {
	case !known && s.has(path+"?"):
		return map[string]any{"anyOf": []any{map[string]any{"type": "null"}, s.schema(path+"?", at+"/anyOf/1", within)}}
	case !known && s.has(path+"[]"):
		return map[string]any{"type": []string{"array", "null"}, "items": s.schema(path+"[]", at+"/items", within)}
	case !known && s.has(path+"{}"):
		m := map[string]any{"type": []string{"object", "null"}, "additionalProperties": s.schema(path+"{}", at+"/additionalProperties", within)}
		if pattern, is := keyPatterns[s.types[path+"{key}"]]; is {
			m["propertyNames"] = map[string]any{"pattern": pattern}
		}
		return m
	case !known:
		return map[string]any{"$comment": "what is in it the actor does not say"}
	case typ == "object":
		return s.object(path, at, within)
	case strings.HasPrefix(typ, "^"):
		return itself(typ[1:], entered)
	default:
		if plain, ok := plainTypes[typ]; ok {
			return plain
		}
		return map[string]any{"$comment": "no schema is known of " + typ + ", which has an encoding of its own"}
	}
}

// itself is the schema of a type that is inside itself: the one so many levels up.
func itself(levels string, entered []string) map[string]any {
	if up, err := strconv.Atoi(levels); err == nil && up > 0 && up <= len(entered) {
		return map[string]any{"$ref": entered[len(entered)-up]}
	}
	return map[string]any{"$comment": "a type inside itself"}
}

// object is the schema of a structure. A field that the type does not have is refused, as a typing error; one whose
// value may be null, or that may be left out of what is given, may be left out of what is taken.
func (s shape) object(path, at string, entered []string) map[string]any {
	fields := map[string]any{}
	required := []string{}
	names := s.under(path)
	for _, name := range names {
		field := path + "." + name
		fields[name] = s.schema(field, at+"/properties/"+pointer.Replace(name), entered)
		if !s.optional[field] && !s.has(field+"?") {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": fields, "required": required, "additionalProperties": false}
}

// under are the names of the fields of a structure.
func (s shape) under(path string) (names []string) {
	add := func(other string) {
		if rest, is := strings.CutPrefix(other, path+"."); is {
			if i := strings.IndexAny(rest, ".?[{"); i >= 0 {
				rest = rest[:i]
			}
			names = append(names, rest)
		}
	}
	for other := range s.types {
		add(other)
	}
	for other := range s.optional {
		add(other)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// has reports whether the shape has anything at a path or below it.
func (s shape) has(path string) bool {
	for other := range s.types {
		if strings.HasPrefix(other, path) {
			return true
		}
	}
	return false
}
