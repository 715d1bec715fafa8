package recorded

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/recording"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// Difference is something that the actor has said, and did not say so in the recording.
type Difference struct {
	Line           int    // where the dialog begins in the recording; 0: it is not there
	Dialog         string // its endpoint
	Path           string // such as answer.items[3].name
	Recorded, Came string
}

func (d Difference) String() string {
	where := "not recorded"
	if d.Line > 0 {
		where = fmt.Sprintf("line %d", d.Line)
	}
	return fmt.Sprintf("%s: %s: %s: %s → %s", where, d.Dialog, d.Path, shorten(d.Recorded), shorten(d.Came))
}

// absent stands for what is not there.
const absent = "nothing"

// mostText is how many letters of a value a difference shows.
const mostText = 200

func shorten(s string) string {
	if letters := []rune(s); len(letters) > mostText {
		return string(letters[:mostText]) + "…"
	}
	return s
}

// sorted puts differences in the order of the recording; those that are not there come last.
func sorted(all []Difference) []Difference {
	slices.SortStableFunc(all, func(a, b Difference) int {
		if a.Line == 0 || b.Line == 0 {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Compare(a.Line, b.Line)
	})
	return all
}

// Ignored are paths that may differ.
type Ignored []*regexp.Regexp

// Ignore takes a path and all below it: "answer.took", "message[].at", "error", "parse: answer.*.id".
// [] is any element, * any name, and an endpoint before a colon limits the path to it.
func (i *Ignored) Ignore(path string) {
	pattern := regexp.QuoteMeta(path)
	pattern = strings.NewReplacer(`\[\]`, `\[\d+\]`, `\*`, `[^.\[]+`).Replace(pattern)
	if !strings.Contains(path, ": ") {
		pattern = ".*: " + pattern
	}
	*i = append(*i, regexp.MustCompile(`^`+pattern+`($|[.\[])`)) // all that is special was quoted
}

func (i Ignored) has(dialog, path string) bool {
	return slices.ContainsFunc(i, func(p *regexp.Regexp) bool { return p.MatchString(dialog + ": " + path) })
}

func (i Ignored) filter(all []Difference) []Difference {
	return slices.DeleteFunc(slices.Clone(all), func(d Difference) bool { return i.has(d.Dialog, d.Path) })
}

// comparison compares a dialog with what it was.
type comparison struct {
	ignore Ignored
	of     *recordedDialog
	found  []Difference
}

func (c *comparison) differ(path, recorded, came string) {
	if !c.ignore.has(c.of.name(), path) {
		c.found = append(c.found, Difference{Line: c.of.line, Dialog: c.of.name(), Path: path, Recorded: recorded, Came: came})
	}
}

// dialog compares all that the actor has said.
func (c *comparison) dialog() {
	d, was, is := c.of, &c.of.said, &c.of.came
	if d.calls && !c.arguments() {
		return
	}
	switch {
	case was.started != nil && is.started != nil:
		c.payloads("started", was.started.Payload, is.started.Payload)
	case was.started != nil:
		c.differ("started", d.text(was.started.Payload), absent)
	case is.started != nil && was.ended():
		c.differ("started", absent, d.text(is.started.Payload))
	}
	c.messages()
	c.ending()
	if was.fail != nil || was.ended() || d.answered {
		c.failures("failure", was.fail, is.fail)
		if (was.cancel != nil) != (is.cancel != nil) || was.cancel.GetCancel().GetReason() != is.cancel.GetCancel().GetReason() {
			c.differ("cancel", reason(was.cancel), reason(is.cancel))
		}
	}
}

// arguments compares those of a dialog that the actor has opened. It reports whether there is more
// to compare: none of it if the actor was cut off before its arguments were there, or if they
// crossed the request to end.
func (c *comparison) arguments() (more bool) {
	d := c.of
	switch {
	case !d.said.opened() || d.crossed && !d.came.opened():
		return false
	case !d.came.opened():
		c.differ("arguments", d.text(d.args), absent)
		return false
	}
	c.payloads("arguments", d.args, d.came.args)
	return true
}

func reason(f *wire.Frame) string {
	if f == nil {
		return absent
	}
	return strconv.Quote(f.Cancel.GetReason())
}

// messages compares the messages, up to where the host wanted no more: what had been on its way
// then is a matter of time.
func (c *comparison) messages() {
	was, is := c.of.said.messages, c.of.came.messages
	if n := c.of.cut; n >= 0 {
		was, is = was[:min(n, len(was))], is[:min(n, len(is))]
	}
	for i := range max(len(was), len(is)) {
		path := fmt.Sprintf("message[%d]", i)
		switch {
		case i >= len(is):
			c.differ(path, c.of.text(was[i]), absent)
		case i < len(was):
			c.payloads(path, was[i], is[i])
		case c.of.said.ended() || c.of.answered: // else the recording ended before
			c.differ(path, absent, c.of.text(is[i]))
		}
	}
}

func (c *comparison) ending() {
	was, is := c.of.said.ending, c.of.came.ending
	switch {
	case was == nil: // the recording ended before
	case is != nil && was.Kind == wire.Kind_KIND_RETURN && is.Kind == was.Kind:
		c.payloads("answer", was.Payload, is.Payload)
	case is != nil && is.Kind == was.Kind:
		c.failures("error", was, is)
	default:
		c.differ("ending", c.of.endingText(was), c.of.endingText(is))
	}
}

func (d *recordedDialog) endingText(f *wire.Frame) string {
	switch {
	case f == nil:
		return absent
	case f.Kind == wire.Kind_KIND_RETURN:
		return "answer " + d.text(f.Payload)
	}
	return "error " + strconv.Quote(plain(f.Fault.Root().GetMessage()))
}

// failures compares two failures, error by error.
func (c *comparison) failures(path string, was, is *wire.Frame) {
	if (was == nil) != (is == nil) {
		c.differ(path, failureText(was), failureText(is))
		return
	}
	a, b := was.GetFault().GetNodes(), is.GetFault().GetNodes()
	for i := range max(len(a), len(b)) {
		at := path
		if i > 0 {
			at = fmt.Sprintf("%s.cause[%d]", path, i-1)
		}
		switch {
		case i >= len(b):
			c.differ(at, nodeText(a[i]), absent)
		case i >= len(a):
			c.differ(at, absent, nodeText(b[i]))
		default:
			c.nodes(at, a[i], b[i])
		}
	}
}

func failureText(f *wire.Frame) string {
	if f == nil {
		return absent
	}
	return nodeText(f.Fault.Root())
}

func nodeText(n *wire.Node) string { return strconv.Quote(plain(n.GetMessage())) }

func (c *comparison) nodes(path string, was, is *wire.Node) {
	for _, field := range []struct{ name, was, is string }{
		{"message", plain(was.Message), plain(is.Message)}, {"type", was.Type, is.Type}, {"name", was.Name, is.Name},
		{"code", strconv.Itoa(int(was.Code)), strconv.Itoa(int(is.Code))},
		{"parent", strconv.Itoa(int(was.Parent)), strconv.Itoa(int(is.Parent))},
	} {
		if field.was != field.is {
			c.differ(path+"."+field.name, strconv.Quote(field.was), strconv.Quote(field.is))
		}
	}
	if len(was.Detail)+len(is.Detail) > 0 {
		c.part(path+".detail", fields(was), fields(is))
	}
}

// fields are those of a typed error, nil if it has none.
func fields(n *wire.Node) []byte {
	if len(n.Detail) == 0 {
		return nil
	}
	return canonical(n.Detail, codecs.CBOR.Name())
}

// identity is an actor in a text: its name, and the beginning of its uuid.
var identity = regexp.MustCompile(`@[0-9a-f]{8}\b`)

// plain is a text without what another process has differently.
func plain(s string) string { return identity.ReplaceAllString(s, "") }

// payloads compares two payloads.
func (c *comparison) payloads(path string, was, is []byte) {
	codec := c.of.start.Start.Codec
	c.values(path, canonical(was, codec), canonical(is, codec))
}

// canonical is the CBOR of a payload in its shortest form. Bytes that have no other meaning are a
// byte string.
func canonical(payload []byte, codec string) []byte {
	text, ok := recording.Notation(payload)
	if codec == codecs.JSON.Name() {
		var compact bytes.Buffer
		ok = json.Compact(&compact, payload) == nil
		text = compact.String()
	}
	if item, rest, err := ParseNotation(text); ok && err == nil && rest == "" {
		return item
	}
	return append(appendHead(nil, byteString, uint64(len(payload))), payload...)
}

// text is a payload for people.
func (d *recordedDialog) text(payload []byte) string {
	if len(payload) == 0 {
		return "no value"
	}
	return itemText(canonical(payload, d.start.Start.Codec))
}

func itemText(item []byte) string {
	if text, ok := recording.Notation(item); ok {
		return text
	}
	v, _ := first(item)
	return fmt.Sprintf("%d bytes", len(v.content))
}

// values compares two items, part by part.
func (c *comparison) values(path string, was, is []byte) {
	if string(was) == string(is) || c.ignore.has(c.of.name(), path) {
		return
	}
	a, _ := first(was)
	b, _ := first(is)
	switch {
	case a.major == list && b.major == list:
		for i := range max(len(a.items), len(b.items)) {
			c.part(fmt.Sprintf("%s[%d]", path, i), at(a.items, i), at(b.items, i))
		}
	case a.major == mapping && b.major == mapping:
		c.mappings(path, a, b)
	case a.major == tag && b.major == tag && a.arg == b.arg:
		c.values(path, a.items[0], b.items[0])
	default:
		c.differ(path, itemText(was), itemText(is))
	}
}

func at(items [][]byte, i int) []byte {
	if i < len(items) {
		return items[i]
	}
	return nil
}

// part compares two parts of which one may not be there.
func (c *comparison) part(path string, was, is []byte) {
	switch {
	case was == nil:
		c.differ(path, absent, itemText(is))
	case is == nil:
		c.differ(path, itemText(was), absent)
	default:
		c.values(path, was, is)
	}
}

// mappings compares by key. An actor's uuid and pid are others this time.
func (c *comparison) mappings(path string, a, b value) {
	was, is := byKey(a), byKey(b)
	done := map[string]bool{}
	actor := was[`"name"`] != nil && was[`"uuid"`] != nil && was[`"pid"`] != nil
	for _, key := range slices.Concat(keysOf(a), keysOf(b)) {
		if done[key] || actor && (key == `"uuid"` || key == `"pid"`) {
			continue
		}
		done[key] = true
		c.part(path+step(key), was[key], is[key])
	}
}

// step is a key at the end of a path: a plain name as .name, others as ["a b"] or [7].
func step(key string) string {
	name, quoted := strings.CutPrefix(key, `"`)
	name = strings.TrimSuffix(name, `"`)
	if quoted && name != "" && strings.IndexFunc(name, func(r rune) bool { return r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) < 0 {
		return "." + name
	}
	return "[" + key + "]"
}

func byKey(v value) map[string][]byte {
	all := map[string][]byte{}
	for i, key := range keysOf(v) {
		all[key] = v.items[2*i+1]
	}
	return all
}

// keysOf are the keys of a mapping, as text.
func keysOf(v value) (keys []string) {
	for i := 0; i < len(v.items); i += 2 {
		keys = append(keys, itemText(v.items[i]))
	}
	return keys
}
