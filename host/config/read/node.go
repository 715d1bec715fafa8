package read

import (
	"fmt"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/seed-2ba35074/trellis/internal/words"
)

// kind is what a value is.
type kind uint8

const (
	scalar kind = iota
	list
	mapping
)

// origin is where something stands: in the file, or in an option.
type origin struct {
	line, column int
	option       string // "" for the file
}

// node is a value, with the way to it. Nothing is shared between nodes: aliases and
// merge keys have become copies of what they name.
type node struct {
	up    *node
	key   string // in a mapping
	keyAt origin
	index int // in a list

	kind   kind
	at     origin
	text   string
	tag    string
	tagged bool // the tag was written
	plain  bool // neither tag nor quotes
	items  []*node
	named  map[string]*node // those of a mapping, by key

	refused bool // it has a problem of its own
}

const (
	tagText  = "!!str"
	tagNull  = "!!null"
	tagInt   = "!!int"
	tagFloat = "!!float"
	tagBool  = "!!bool"
)

// Bounds of a file. With its aliases written out it is a tree of maxNodes values; actors
// take two levels each.
const (
	maxDepth = 8_000
	maxNodes = 200_000
)

// builder makes nodes of what the YAML parser gives.
type builder struct {
	r      *reader
	option string // that the values come from; "" for the file
	left   int
}

// build makes a value below up; nil if it is too large, which is reported.
func (r *reader) build(y *yaml.Node, up *node, option string) *node {
	b := &builder{r: r, option: option, left: maxNodes}
	if n := b.value(y, up, "", 0, depthOf(up)); b.left >= 0 {
		return n
	}
	return nil
}

func depthOf(n *node) (depth int) {
	for ; n != nil; n = n.up {
		depth++
	}
	return depth
}

// value makes a value below up, of the given key in a mapping, or at index in a list.
func (b *builder) value(y *yaml.Node, up *node, key string, index, depth int) *node {
	if y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	n := &node{up: up, key: key, index: index, at: b.origin(y), tag: y.ShortTag(), text: y.Value, tagged: y.Style&yaml.TaggedStyle != 0, plain: y.Style == 0}
	if b.left--; depth > maxDepth || b.left < 0 {
		if b.left >= -1 { // told once
			b.r.report(n, "expected at most %d levels and %d values; aliases count as what they stand for", maxDepth, maxNodes)
		}
		b.left = -2
		return n
	}
	switch y.Kind {
	case yaml.SequenceNode:
		n.kind = list
		for i, item := range y.Content {
			if b.left < 0 {
				break
			}
			n.items = append(n.items, b.value(item, n, "", i, depth+1))
		}
	case yaml.MappingNode:
		n.kind, n.named = mapping, make(map[string]*node, len(y.Content)/2)
		b.pairs(y, n, depth)
	case yaml.ScalarNode, yaml.DocumentNode, yaml.AliasNode:
	}
	return n
}

func (b *builder) origin(y *yaml.Node) origin {
	if b.option != "" {
		return origin{option: b.option}
	}
	return origin{line: y.Line, column: y.Column}
}

// pairs fills a mapping; what a merge key brings comes last and gives way to the
// mapping's own keys.
func (b *builder) pairs(y *yaml.Node, n *node, depth int) {
	var merged []*node
	for i := 0; i+1 < len(y.Content) && b.left >= 0; i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		at := &node{up: n, at: b.origin(key), key: key.Value}
		switch {
		case key.Tag == "!!merge":
			merged = append(merged, b.mergeSources(b.value(value, n, "", 0, depth+1))...)
		case key.Kind != yaml.ScalarNode:
			at.key = ""
			b.r.report(at, "expected a plain key, got %s", describeYAML(key))
		case key.Style&yaml.TaggedStyle != 0 && key.ShortTag() != tagText:
			b.r.report(at, "expected a plain key, got one with the tag %s", words.Quote(key.Tag))
		case n.named[key.Value] != nil:
			b.r.report(at, "this key stands here twice; keep one of them")
		default:
			n.add(b.value(value, n, key.Value, 0, depth+1), key.Value, b.origin(key))
		}
	}
	for _, m := range merged {
		for _, item := range m.items {
			if n.named[item.key] == nil {
				item.up = n
				n.add(item, item.key, item.keyAt)
			}
		}
	}
}

func (b *builder) mergeSources(n *node) (all []*node) {
	switch {
	case n.refused:
	case n.kind == mapping:
		return []*node{n}
	case n.kind == list:
		for _, item := range n.items {
			item.up = n.up // a problem is one of the mapping that is merged into
			all = append(all, b.mergeSources(item)...)
		}
	default:
		b.r.report(n, "expected a mapping to merge with <<, got %s", n.describe())
	}
	return all
}

// add puts a value into a mapping.
func (n *node) add(value *node, key string, at origin) {
	value.key, value.keyAt = key, at
	n.items = append(n.items, value)
	n.named[key] = value
}

// remove takes a value out of the list or mapping that it is in.
func (n *node) remove() {
	up := n.up
	up.items = slices.DeleteFunc(up.items, func(item *node) bool { return item == n })
	delete(up.named, n.key)
	for i, item := range up.items {
		item.index = i
	}
}

// become makes n the value that v is, where n stands.
func (n *node) become(v *node) {
	up, key, keyAt, index := n.up, n.key, n.keyAt, n.index
	*n = *v
	n.up, n.key, n.keyAt, n.index = up, key, keyAt, index
	for _, item := range n.items {
		item.up = n
	}
}

// child is the value of a mapping's key, nil if there is none.
func (n *node) child(key string) *node {
	if n == nil {
		return nil
	}
	return n.named[key]
}

// find follows keys and positions as far as there are values, and reports whether it
// has passed one that was refused.
func (n *node) find(keys []string) (last *node, whole, refused bool) {
	for _, key := range keys {
		if n.refused {
			return n, false, true
		}
		next := n.named[key]
		if at, err := strconv.Atoi(key); n.kind == list && err == nil && at < len(n.items) {
			next = n.items[at]
		}
		if next == nil {
			return n, false, false
		}
		n = next
	}
	return n, true, n.refused
}

func (n *node) isNull() bool { return n.kind == scalar && n.tag == tagNull }

// path is the way to a value, for people: actors are named, other items counted.
func (n *node) path() string {
	var steps []string
	for ; n != nil && n.up != nil; n = n.up {
		step := n.key
		if n.up.kind == list {
			step = "[" + strconv.Itoa(n.index) + "]"
			if name := n.child("name"); name != nil && name.kind == scalar && !name.refused && name.text != "" {
				step = name.text
			}
		}
		steps = append(steps, step)
	}
	slices.Reverse(steps)
	return words.Path(steps)
}

// describe says what a value is, for "got …".
func (n *node) describe() string {
	switch {
	case n.kind == mapping:
		return "a mapping"
	case n.kind == list:
		return "a list"
	case n.tag == tagNull:
		return "nothing"
	case n.tagged && n.tag != tagText:
		return fmt.Sprintf("%s %s", n.tag, words.Quote(n.text))
	}
	return words.Quote(n.text)
}

func describeYAML(y *yaml.Node) string {
	if y.Kind == yaml.AliasNode {
		return "an alias"
	}
	kinds := map[yaml.Kind]kind{yaml.MappingNode: mapping, yaml.SequenceNode: list}
	return (&node{kind: kinds[y.Kind], tag: y.ShortTag(), text: y.Value}).describe()
}
