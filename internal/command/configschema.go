package command

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/docs"
	"github.com/seed-2ba35074/trellis/host/config"
)

func newSchema(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of config files, for editors",
		Long: "Print the JSON Schema of config files. An editor with the YAML language server completes and checks\n" +
			"a file that names the schema in its first line:\n\n" +
			"\t# yaml-language-server: $schema=config.schema.json\n\n" +
			"The schema knows what each key may have by itself. That actors exist which others name, and that programs\n" +
			"are there, only host validate says.",
		Example: "  host schema > config.schema.json",
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return p.printJSON(configSchema()) },
	}
}

// A variable in a value may become whatever the value is to be (docs/config.md, Variables).
const variable = `\$\{`

// The forms of texts in a file. They are those of config.ParseSize and time.ParseDuration, without
// their bounds.
const (
	nameForm     = `^[a-z0-9][a-z0-9_-]{0,62}$`
	durationForm = `^\+?(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`
	sizeForm     = `^\s*\+?([0-9]+\.?[0-9]*|\.[0-9]+)\s*([KMGT]iB|[kKMGT]?B)$`
)

// object is a part of a schema.
type object = map[string]any

// configSchema is the JSON Schema of a config file. Its keys, types, bounds and defaults are those of the
// types of package config, and what it says of a key is what docs/config.md says.
func configSchema() object {
	s := &schemer{meanings: meanings(docs.Config), definitions: object{}}
	root := s.structure(reflect.TypeFor[config.Tree](), "The file")
	root["$schema"], root["title"] = "http://json-schema.org/draft-07/schema#", "A tree of actors"
	root["description"] = "The config file of host run and host serve, as docs/config.md describes it."
	root["definitions"] = s.definitions
	return root
}

// schemer makes the schema. It is draft 7, which editors know best.
type schemer struct {
	meanings    map[string]string // by section and key
	definitions object            // of structures, by the keys that they stand behind
}

var keyRow = regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| .+? \\| (.+?) \\| (.+?) \\|$")

// markdownLink is a link on a page, which leads nowhere in an editor.
var markdownLink = regexp.MustCompile(`\[([^\]]+)\]\([^)]+\)`)

// meanings are what a page says of each key, by section and key.
func meanings(page string) map[string]string {
	found := map[string]string{}
	for _, part := range strings.Split(page, "\n## ")[1:] {
		section, body, _ := strings.Cut(part, "\n")
		for _, row := range keyRow.FindAllStringSubmatch(body, -1) {
			text := row[3]
			if otherwise := row[2]; otherwise != "required" && otherwise != "see there" {
				text += ". Default: " + otherwise
			}
			found[strings.Trim(section, "`")+" "+row[1]] = markdownLink.ReplaceAllString(text, "$1") + "."
		}
	}
	return found
}

// structure is the schema of a struct, which section of the page describes.
func (s *schemer) structure(t reflect.Type, section string) object {
	properties, required := object{}, []string{}
	for f := range t.Fields() {
		key := f.Tag.Get("yaml")
		if key == "-" {
			continue
		}
		schema := s.value(f.Type, f.Tag, key)
		schema["description"] = s.meanings[section+" "+key]
		if text := f.Tag.Get("default"); text != "" {
			schema["default"] = defaultValue(f.Type, text)
		}
		if isRequired(f.Tag) {
			required = append(required, key)
		}
		properties[key] = schema
	}
	return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

// isRequired reports whether a file must have a key. It is one that is never left out of JSON.
func isRequired(tag reflect.StructTag) bool {
	return !strings.Contains(tag.Get("json"), ",omit") && tag.Get("empty") != "ok"
}

// value is the schema of a field, or of what is in it, which has the tags of the field if they are about it.
func (s *schemer) value(t reflect.Type, tag reflect.StructTag, key string) object {
	words := strings.Fields(tag.Get("oneof"))
	switch {
	case t == reflect.TypeFor[config.Duration]():
		return object{"type": "string", "pattern": either(durationForm)}
	case t == reflect.TypeFor[config.Size]():
		return object{"type": "string", "pattern": either(sizeForm)}
	case t == reflect.TypeFor[*config.Size]():
		return object{"anyOf": []any{object{"type": "string", "pattern": either(sizeForm, "^0$")}, object{"const": 0}}}
	case t.Kind() == reflect.String && len(words) > 0:
		return orVariable(object{"enum": words})
	case t.Kind() == reflect.String:
		return text(tag, key)
	case t.Kind() == reflect.Bool:
		return orVariable(object{"type": "boolean"})
	case t.Kind() == reflect.Int:
		return orVariable(whole(tag))
	case t.Kind() == reflect.Interface:
		return object{"type": []string{"object", "array", "string", "number", "boolean"}}
	}
	return s.compound(t, tag, key)
}

// compound is the schema of what has values in it.
func (s *schemer) compound(t reflect.Type, tag reflect.StructTag, key string) object {
	switch t.Kind() {
	case reflect.Pointer:
		return s.value(t.Elem(), tag, key)
	case reflect.Struct:
		if s.definitions[key] == nil {
			s.definitions[key] = true // it may be inside itself
			definition := s.structure(t, key)
			maps.Copy(definition, rules(t))
			s.definitions[key] = definition
		}
		return object{"$ref": "#/definitions/" + key}
	case reflect.Map:
		schema := object{"type": "object", "additionalProperties": s.value(t.Elem(), tag, "")}
		if isRequired(tag) {
			schema["minProperties"] = 1
		}
		return schema
	case reflect.Slice:
		schema := object{"type": "array", "items": s.value(t.Elem(), `min:"0" empty:"ok"`, key)}
		if isRequired(tag) {
			schema["minItems"] = 1
		}
		return schema
	default: // the struct is ours
		panic(fmt.Sprintf("%s: nothing here has a schema for a %s", key, t))
	}
}

// rules are those of package config between the keys of a struct, as far as a schema says them well.
func rules(t reflect.Type) object {
	if t != reflect.TypeFor[config.Actor]() {
		return nil
	}
	return object{
		"oneOf": []any{
			object{"required": []string{"package"}, "properties": object{"command": object{"maxItems": 0}}},
			object{"required": []string{"command"}, "properties": object{"command": object{"minItems": 1}, "package": false}},
		},
		"if":   object{"not": object{"required": []string{"restart"}}},
		"then": object{"properties": object{"backoff": object{"maxProperties": 0}, "standby": false, "while_down": false}},
	}
}

// text is the schema of a text, which needs no quotes where YAML takes it for a number or a boolean.
func text(tag reflect.StructTag, key string) object {
	schema := object{"type": []string{"string", "number", "boolean"}}
	switch {
	case key == "name" && tag.Get("empty") != "ok":
		schema["pattern"] = either(nameForm)
	case key != "" && tag.Get("empty") != "ok":
		schema["minLength"] = 1
	}
	return schema
}

// whole is the schema of a whole number. Zero is what was left out, but in a list.
func whole(tag reflect.StructTag) object {
	schema := object{"type": "integer", "minimum": 1}
	least, _, _ := strings.Cut(tag.Get("min"), ",")
	for bound, text := range map[string]string{"minimum": least, "maximum": tag.Get("max")} {
		if n, err := strconv.Atoi(text); err == nil {
			schema[bound] = n
		}
	}
	return schema
}

// defaultValue is a default as a file would have it.
func defaultValue(t reflect.Type, text string) any {
	if n, err := strconv.Atoi(text); err == nil && t.Kind() == reflect.Int {
		return n
	}
	if on, err := strconv.ParseBool(text); err == nil && t.Kind() == reflect.Bool {
		return on
	}
	return text
}

func orVariable(schema object) object {
	return object{"anyOf": []any{schema, object{"type": "string", "pattern": variable}}}
}

func either(forms ...string) string { return strings.Join(append(forms, variable), "|") }
