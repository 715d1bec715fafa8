package read

import (
	"cmp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/words"
)

// node is a value, with the way to it and the place where it was written. Nothing is
// shared between nodes: aliases have become copies of what they name. That lets
// an option replace a value in one place and leave it in another, and a problem have one path.
// Nodes belong to the reader of one Parse, and to its goroutine.
type node struct {
	up    *node
	key   string // in a mapping
	keyAt config.Place

	kind   yaml.Kind // scalar, sequence or mapping
	at     config.Place
	text   string
	raw    string // text before its variables were replaced; "" if there are none
	tag    string
	tagged bool // the tag was written
	plain  bool // neither tag nor quotes
	items  []*node
	named  map[string]*node // those of a mapping, by key

	refused bool // it has a problem of its own, and nothing may be concluded from what it is
}

// The tags that the parser gives to values, in their short form. A plain scalar may also have that
// of a date (!!timestamp), which nothing here asks for, and which is a text to everyone.
const (
	tagText  = "!!str"
	tagNull  = "!!null"
	tagInt   = "!!int"
	tagFloat = "!!float"
	tagBool  = "!!bool"
	tagList  = "!!seq"
	tagMap   = "!!map"
)

// Bounds of a file. With its aliases written out it is a tree of maxNodes values; actors
// take two levels each. Everything here that goes down a tree calls itself, so the levels are also
// a bound of the stack.
const (
	maxDepth = 8_000
	maxNodes = 200_000
)

// builder makes nodes of what the YAML parser gives. A few lines of YAML can stand for any
// number of values, as an alias may name a list of aliases; so it counts what it makes, and
// stops at the bound.
type builder struct {
	*reader
	option string // that the values come from; "" for the file
	left   int    // how many values there may still be; below 0 once there are too many
}

// build makes a value below up; nil if it is too large, which is reported. The value of an option
// begins at the level that it is put into, but has the bound of values to itself: options are
// typed by hand.
func (r *reader) build(y *yaml.Node, up *node, option string) *node {
	depth := 0
	for n := up; n != nil; n = n.up {
		depth++
	}
	b := &builder{reader: r, option: option, left: maxNodes}
	n := b.value(y, up, depth)
	if b.left < 0 {
		r.report(n.at, n, "expected at most %d levels and %d values; aliases count as what they stand for", maxDepth, maxNodes)
		return nil
	}
	return n
}

// value makes a value below up, which whoever asked for it puts there. An alias becomes a
// copy of what it names, and stands where that does: a mistake in it is mended there. One
// that leads to itself ends at the bound of levels.
//
// Once the bound is passed, everything on the way back returns at once. The node is then not
// complete, and [reader.build] throws it away.
func (b *builder) value(y *yaml.Node, up *node, depth int) *node {
	if y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	n := &node{
		up: up, at: b.place(y, b.option), kind: y.Kind, tag: y.ShortTag(), text: y.Value,
		tagged: y.Style&yaml.TaggedStyle != 0, plain: y.Style == 0,
	}
	b.left--
	if depth > maxDepth {
		b.left = -1
	}
	switch {
	case b.left < 0:
	case n.kind == yaml.SequenceNode:
		for _, item := range y.Content {
			n.items = append(n.items, b.value(item, n, depth+1))
		}
	case n.kind == yaml.MappingNode:
		n.named = make(map[string]*node, len(y.Content)/2)
		b.pairs(y, n, depth)
	}
	return n
}

// place is where a value of the file stands, or of an option.
func (r *reader) place(y *yaml.Node, option string) config.Place {
	if option != "" {
		return config.Place{File: option}
	}
	return config.Place{File: r.file, Line: y.Line, Column: y.Column}
}

// pairs fills a mapping.
//
// The parser refuses a key that stands twice only when it decodes into Go values, which never
// happens here. A key is its text, whatever type YAML would give it; a list or a mapping as a key
// would have no path. Merge keys are YAML's older version only: with them, where a value comes
// from is a rule to know, while an alias stands where its value is.
func (b *builder) pairs(y *yaml.Node, n *node, depth int) {
	for i := 0; i+1 < len(y.Content) && b.left >= 0; i += 2 {
		key, at := y.Content[i], b.place(y.Content[i], b.option)
		switch value := b.value(y.Content[i+1], n, depth+1); {
		case key.Kind != yaml.ScalarNode:
			b.report(at, n, "expected a plain key, got %s", (&node{kind: key.Kind}).describe())
		case key.Style&yaml.TaggedStyle != 0:
			b.report(at, n, "expected a plain key, got one with the tag %s", words.Quote(key.Tag))
		case key.Tag == "!!merge":
			b.report(at, n, "merge keys (<<) are not read here; write the keys out (a long value may be an alias, as in env: *common)")
			n.refused = true // nothing follows from what it does not have
		case n.named[key.Value] != nil:
			b.report(at, n.named[key.Value], "this key stands here twice; keep one of them")
		default:
			n.add(value, key.Value, at)
		}
	}
}

// add puts a value into a mapping.
func (n *node) add(value *node, key string, at config.Place) {
	value.up, value.key, value.keyAt = n, key, at
	n.items = append(n.items, value)
	n.named[key] = value
}

// remove takes a value out of the list or mapping that it is in.
func (n *node) remove() {
	up := n.up
	up.items = slices.DeleteFunc(up.items, func(item *node) bool { return item == n })
	delete(up.named, n.key)
}

// become makes n the value that v is, where n stands: whoever holds n, such as its parent,
// holds the new value. The key keeps its own place, in the file, so that a problem with the key
// is not blamed on the option that brought the value.
func (n *node) become(v *node) {
	before := *n // problems of what is in it have their paths by it
	for _, item := range n.items {
		item.up = &before
	}
	*n = *v
	n.up, n.key, n.keyAt = before.up, before.key, before.keyAt
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

// Find makes the root of a file the [config.Source] of what was decoded from it. It is asked after
// decoding, when refused says of each node whether it has become a value.
func (n *node) Find(keys []string) (config.Place, bool) {
	for _, key := range keys {
		next := n.named[key]
		if at, err := strconv.Atoi(key); n.kind == yaml.SequenceNode && err == nil && at < len(n.items) {
			next = n.items[at]
		}
		if n.refused || next == nil {
			break
		}
		n = next
	}
	return n.at, !n.refused
}

// path is the way to a value, for people: actors are named, other items counted. It is
// asked for when all has been read, as the name of an actor may hold variables.
func (n *node) path() string {
	var steps []string
	for ; n != nil && n.up != nil; n = n.up {
		step := n.key
		if n.up.kind == yaml.SequenceNode {
			step = cmp.Or(n.name(), "["+strconv.Itoa(slices.Index(n.up.items, n))+"]")
		}
		steps = append(steps, step)
	}
	slices.Reverse(steps)
	return words.Path(steps)
}

// name is what an actor is called, "" if that is not known. Any item of a list is asked, since a
// node does not know whether it is an actor: an argument that has the key is called by it, too.
func (n *node) name() string {
	if name := n.child("name"); name != nil && !name.refused {
		return name.text // of a list or mapping it is empty
	}
	return ""
}

// describe says what a value is, for "got …". A text is quoted, and so is a number: it is
// shown as it was written.
func (n *node) describe() string {
	switch {
	case n.kind == yaml.MappingNode:
		return "a mapping"
	case n.kind == yaml.SequenceNode:
		return "a list"
	case n.kind == yaml.AliasNode:
		return "an alias"
	case n.tag == tagNull:
		return "nothing"
	}
	return words.Quote(n.text)
}
