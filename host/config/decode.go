package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

var durationType = reflect.TypeFor[Duration]()

// decodeStruct fills a struct by its yaml tags.
func (r *reader) decodeStruct(n *yaml.Node, into any, path string) {
	r.decode(n, reflect.ValueOf(into).Elem(), path)
}

// decode fills one value and reports what does not fit. A value that was refused
// already stays empty.
func (r *reader) decode(n *yaml.Node, v reflect.Value, path string) {
	switch {
	case r.refused[n]:
		return
	case v.Type() == durationType:
		r.decodeDuration(n, v, path)
		return
	case len(choices[v.Type()]) > 0:
		r.decodeChoice(n, v, path)
		return
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		r.decode(n, v.Elem(), path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		r.decodeFields(n, v, path)
	case reflect.Map:
		r.decodeMap(n, v, path)
	case reflect.Slice:
		r.decodeList(n, v, path)
	case reflect.Int:
		r.decodeInt(n, v, path)
	case reflect.Bool:
		r.decodeBool(n, v, path)
	case reflect.String:
		r.decodeText(n, v, path)
	case reflect.Interface:
		if value := r.anything(n, path); value != nil {
			v.Set(reflect.ValueOf(value))
		}
	default: // the struct is ours
		panic(fmt.Sprintf("%s: nothing here reads a %s", path, v.Type()))
	}
}

// anything is a value as JSON knows it: keys are texts, and so are dates.
func (r *reader) anything(n *yaml.Node, path string) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			m[key] = r.anything(n.Content[i+1], join(path, key))
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			list[i] = r.anything(item, itemPath(path, item, i))
		}
		return list
	case yaml.ScalarNode, yaml.DocumentNode, yaml.AliasNode:
	}
	return r.scalar(n, path)
}

func (r *reader) scalar(n *yaml.Node, path string) any {
	if n.Tag == "!!timestamp" {
		return n.Value
	}
	var value any
	err := n.Decode(&value)
	number, isFloat := value.(float64)
	if err != nil || isFloat && (math.IsNaN(number) || math.IsInf(number, 0)) {
		r.refuse(n, path, "expected a value that JSON has, got %s %q", n.Tag, n.Value)
		return nil
	}
	return value
}

func (r *reader) decodeInt(n *yaml.Node, v reflect.Value, path string) {
	number, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil {
		r.refuse(n, path, "expected a whole number, got %s", describe(n))
		return
	}
	v.SetInt(int64(number))
}

func (r *reader) decodeBool(n *yaml.Node, v reflect.Value, path string) {
	yes, err := strconv.ParseBool(n.Value)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || err != nil {
		r.refuse(n, path, "expected true or false, got %s", describe(n))
		return
	}
	v.SetBool(yes)
}

func (r *reader) decodeText(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.refuse(n, path, "expected a text, got %s", describe(n))
		return
	}
	v.SetString(n.Value)
}

func (r *reader) decodeDuration(n *yaml.Node, v reflect.Value, path string) {
	d, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || d <= 0 {
		r.refuse(n, path, "expected a duration above zero such as 500ms, 5s or 1m30s, got %s", describe(n))
		return
	}
	v.SetInt(int64(d))
}

func (r *reader) decodeFields(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		r.refuse(n, path, "expected a mapping with the keys %s, got %s", strings.Join(keysOf(v.Type()), ", "), describe(n))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		field, known := fieldOf(v, key.Value)
		if !known {
			r.unknown(key, v.Type(), path)
			continue
		}
		r.decode(value, field, join(path, key.Value))
	}
}

func (r *reader) unknown(key *yaml.Node, t reflect.Type, path string) {
	keys := keysOf(t)
	hint := "the keys here are " + strings.Join(keys, ", ")
	if near := nearest(key.Value, keys); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	r.report(key, join(path, key.Value), "unknown key; %s", hint)
}

func (r *reader) decodeMap(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		r.refuse(n, path, "expected a mapping, got %s", describe(n))
		return
	}
	if len(n.Content) > 0 { // an empty one is as good as none
		v.Set(reflect.MakeMap(v.Type()))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		value := reflect.New(v.Type().Elem()).Elem()
		r.decode(n.Content[i+1], value, join(path, n.Content[i].Value))
		v.SetMapIndex(reflect.ValueOf(n.Content[i].Value), value)
	}
}

// decodeList fills a slice. Actors are named in paths, other items counted.
func (r *reader) decodeList(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		r.refuse(n, path, "expected a list, got %s", describe(n))
		return
	}
	for i, item := range n.Content {
		value := reflect.New(v.Type().Elem()).Elem()
		r.decode(item, value, itemPath(path, item, i))
		v.Set(reflect.Append(v, value))
	}
}

func itemPath(path string, item *yaml.Node, i int) string {
	if name := child(item, "name"); name != nil && name.Kind == yaml.ScalarNode && name.Value != "" {
		return join(path, name.Value)
	}
	return fmt.Sprintf("%s[%d]", path, i)
}

func fieldOf(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == key {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func keysOf(t reflect.Type) []string {
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i] = t.Field(i).Tag.Get("yaml")
	}
	return keys
}
