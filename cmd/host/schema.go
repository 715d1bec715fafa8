package main

import (
	"slices"
	"strconv"
	"strings"
)

// shape is what an endpoint says of its types (docs/protocol, Fingerprints): a type for each path.
type shape map[string]string

func parseShape(text string) shape {
	s := shape{}
	for line := range strings.Lines(text) {
		path, typ, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if ok && path != "#" {
			s[path] = typ
		}
	}
	return s
}

// schemaOf is a JSON Schema for the values of a part of an endpoint, as a call by hand takes and
// gives them. Fields that may be left out are not in a shape, and so not in the schema either.
func (s shape) schemaOf(part string) map[string]any { return s.schema(part, "#", nil) }

// parts are those that the shape has, such as "arguments" and "result".
func (s shape) parts() (names []string) {
	for path := range s {
		names = append(names, path[:len(path)-len(strings.TrimLeft(path, "abcdefghijklmnopqrstuvwxyz"))])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// plainTypes are the schemas of types that have no parts.
var plainTypes = map[string]map[string]any{
	"bool": {"type": "boolean"}, "string": {"type": "string"}, "int": {"type": "integer"}, "uint": {"type": "integer", "minimum": 0},
	"float": {"type": "number"}, "bytes": {"type": "string", "contentEncoding": "base64"}, "time": {"type": "string", "format": "date-time"},
	"json": {}, "any": {},
}

// schema is that of the value at a path. at is where it stands in the document, and entered where those
// stand that it is in, to which a type refers that is inside itself.
func (s shape) schema(path, at string, entered []string) map[string]any {
	within := append(slices.Clone(entered), at)
	switch typ, known := s[path]; {
	case !known && s.has(path+"?"):
		return map[string]any{"anyOf": []any{map[string]any{"type": "null"}, s.schema(path+"?", at+"/anyOf/1", within)}}
	case !known && s.has(path+"[]"):
		return map[string]any{"type": "array", "items": s.schema(path+"[]", at+"/items", within)}
	case !known && s.has(path+"{}"):
		return map[string]any{"type": "object", "additionalProperties": s.schema(path+"{}", at+"/additionalProperties", within)}
	case typ == "object":
		return s.object(path, at, within)
	case strings.HasPrefix(typ, "^"):
		if up, err := strconv.Atoi(typ[1:]); err == nil && up > 0 && up <= len(entered) {
			return map[string]any{"$ref": entered[len(entered)-up]}
		}
		return map[string]any{"$comment": "a type inside itself"}
	default:
		if plain, ok := plainTypes[typ]; ok {
			return plain
		}
		return map[string]any{"$comment": "no schema is known of " + typ + ", which has an encoding of its own"}
	}
}

// object is the schema of a structure.
func (s shape) object(path, at string, entered []string) map[string]any {
	fields := map[string]any{}
	required := []string{}
	for other := range s {
		rest, is := strings.CutPrefix(other, path+".")
		if !is {
			continue
		}
		name := rest
		if i := strings.IndexAny(rest, ".?[{"); i >= 0 {
			name = rest[:i]
		}
		if _, done := fields[name]; !done {
			fields[name] = s.schema(path+"."+name, at+"/properties/"+name, entered)
			required = append(required, name)
		}
	}
	slices.Sort(required)
	return map[string]any{"type": "object", "properties": fields, "required": required}
}

// has reports whether the shape has anything at a path or below it.
func (s shape) has(path string) bool {
	for other := range s {
		if strings.HasPrefix(other, path) {
			return true
		}
	}
	return false
}
