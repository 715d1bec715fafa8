package conform

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// object is a JSON object.
type object = map[string]any

// frameText is a frame as a line of a transcript has it.
type frameText struct {
	kind   wire.Kind
	dialog uint64
	fields object // of the frame, by their names in trellis.proto; all others are a transcript's own

	payload       []byte // encoded; nil: there is none
	pieces, times int
	causes        []any  // what the fault's root wraps
	fails         string // name of an error in the fault
	detail        any    // of that error
	says          string // in the root's message
}

// parseFrame reads a frame's text.
func parseFrame(text string) (f *frameText, err error) {
	name, rest, _ := strings.Cut(text, " ")
	number, known := wire.Kind_value["KIND_"+name]
	if !known {
		n, err := strconv.ParseInt(name, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("there is no frame %q", name)
		}
		number = int32(n)
	}
	f = &frameText{kind: wire.Kind(number), fields: object{}, times: 1}
	id, after, _ := strings.Cut(rest, " ")
	if f.dialog, err = strconv.ParseUint(id, 10, 64); err == nil {
		rest = after
	}
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		if rest, err = f.parsePart(rest); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// parsePart reads the next part of a frame's text, and gives what is left.
func (f *frameText) parsePart(text string) (rest string, err error) {
	word := text[:len(text)-len(strings.TrimLeft(text, "abcdefghijklmnopqrstuvwxyz_"))]
	rest = text[len(word):]
	switch {
	case word != "" && strings.HasPrefix(rest, "="):
		value, rest, err := parseJSON(rest[1:])
		if err != nil {
			return "", err
		}
		return rest, f.set(word, value)
	case word == "func" || word == "source" || word == "context":
		return rest, f.set("start", object{"endpoint": word, "kind": "ENDPOINT_KIND_" + strings.ToUpper(word), "codec": "cbor"})
	case slices.Contains(exact, word):
		return rest, f.set(word, true)
	}
	value, rest, err := parseJSON(text)
	if err == nil {
		f.payload, err = cbor.Marshal(value)
	}
	return rest, err
}

// parseJSON reads one value, and gives what comes behind it. Whole numbers stay whole.
func parseJSON(text string) (value any, rest string, err error) {
	var raw json.RawMessage
	d := json.NewDecoder(strings.NewReader(text))
	if err = d.Decode(&raw); err == nil {
		err = codecs.JSON.Unmarshal(raw, &value)
	}
	if err != nil {
		return nil, "", fmt.Errorf("at %q: %w", text, err)
	}
	return value, text[d.InputOffset():], nil
}

func (f *frameText) set(name string, value any) (err error) {
	text := fmt.Sprint(value)
	number, _ := strconv.Atoi(text)
	switch name {
	case "pieces":
		f.pieces = number
	case "times":
		f.times = number
	case "text":
		f.payload, err = cbor.Marshal(strings.Repeat("x", number))
	case "hex":
		f.payload, err = hex.DecodeString(text)
	case "cause":
		f.causes = append(f.causes, value)
	case "fails":
		f.fails = text
	case "says":
		f.says = text
	case "detail":
		f.detail = value
	case "start": // what the name of an endpoint stands for, and more
		start, _ := f.fields[name].(object)
		f.fields[name] = merge(start, value)
	default:
		f.fields[name] = value
	}
	return err
}

// merge gives an object with the fields of both.
func merge(a object, b any) object {
	all := object{}
	maps.Copy(all, a)
	more, _ := b.(object)
	maps.Copy(all, more)
	return all
}

// reading gives objects as JSON has them.
var reading, _ = cbor.DecOptions{DefaultMapType: reflect.TypeFor[object]()}.DecMode()

// decode returns the value of CBOR; of other bytes their hex.
func decode(b []byte) (value any) {
	if len(b) > 0 && reading.Unmarshal(b, &value) != nil {
		return hex.EncodeToString(b)
	}
	return value
}

// frames are what the text sends: one frame, or a payload's pieces.
func (f *frameText) frames() (all []*wire.Frame, err error) {
	fields := maps.Clone(f.fields)
	if root, ok := fields["fault"].(object); ok {
		fields["fault"] = object{"nodes": append([]any{root}, f.causes...)} // whose parent is the first one
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	var whole wire.Frame
	if err = protojson.Unmarshal(text, &whole); err != nil {
		return nil, err
	}
	if f.detail != nil {
		if whole.Fault.Root().Detail, err = cbor.Marshal(f.detail); err != nil {
			return nil, err
		}
	}
	rest := f.payload
	for f.pieces > 0 && len(rest) > f.pieces {
		all = append(all, &wire.Frame{Dialog: f.dialog, Kind: f.kind, More: true, Payload: rest[:f.pieces]})
		rest = rest[f.pieces:]
	}
	whole.Dialog, whole.Kind, whole.Payload = f.dialog, f.kind, rest
	return append(all, &whole), nil
}

// exact are the fields that a frame has only if its text says so; no implementation may
// choose them.
var exact = []string{"more", "probe", "deaf", "attached", "yields", "credit"}

// mismatch says in what a frame is not that of the text; "" if it is.
func (f *frameText) mismatch(got *wire.Frame) string {
	if got.Kind != f.kind {
		return strings.TrimPrefix(got.Kind.String(), "KIND_") + " has come"
	}
	if !reflect.DeepEqual(decode(got.Payload), decode(f.payload)) {
		return "it has another payload"
	}
	fields, err := fieldsOf(got)
	if err != nil {
		return err.Error()
	}
	if fault, ok := fields["fault"].(object); ok { // a text says what is in the root
		nodes, _ := fault["nodes"].([]any)
		fields["fault"] = append(nodes, nil)[0]
	}
	for _, name := range exact {
		if f.fields[name] == nil && fields[name] != nil {
			return "it has " + name
		}
	}
	if what := differs(f.fields, fields); what != "" {
		return what
	}
	if !strings.Contains(got.Fault.Root().GetMessage(), f.says) {
		return "its message is " + got.Fault.Root().GetMessage()
	}
	if !slices.ContainsFunc(got.Fault.GetNodes(), f.isError) && f.fails != "" {
		return "no error has that name and detail"
	}
	return ""
}

func (f *frameText) isError(e *wire.Node) bool {
	return e.Name == f.fails && (f.detail == nil || differs(f.detail, decode(e.Detail)) == "")
}

// differs says in what got lacks something that want has; "" if in nothing.
func differs(want, got any) string {
	switch w := want.(type) {
	case object:
		g, _ := got.(object)
		for name, value := range w {
			if what := differs(value, g[name]); what != "" {
				return name + ": " + what
			}
		}
		return ""
	case []any:
		g, _ := got.([]any)
		for i := range w {
			if len(g) != len(w) {
				return fmt.Sprintf("%d elements, want %d", len(g), len(w))
			}
			if what := differs(w[i], g[i]); what != "" {
				return what
			}
		}
		return ""
	}
	if want == "*" && got != nil || fmt.Sprint(want) == fmt.Sprint(got) || withinLimit(want, got) {
		return ""
	}
	return fmt.Sprintf("%v, want %v", got, want)
}

// withinLimit reports whether want is "<=N", and got a number up to that.
func withinLimit(want, got any) bool {
	text, isText := want.(string)
	limit, isLimit := strings.CutPrefix(text, "<=")
	most, bad := strconv.ParseInt(limit, 10, 64)
	n, worse := strconv.ParseInt(fmt.Sprint(got), 10, 64)
	return isText && isLimit && bad == nil && worse == nil && 0 < n && n <= most
}

// fieldsOf are the fields of a frame that are set, by their names in trellis.proto.
func fieldsOf(f *wire.Frame) (fields object, err error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(f)
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(text, &fields)
	return fields, err
}

// describe is a frame that has come, as a line of a transcript would have it.
func describe(f *wire.Frame) string {
	parts := []string{strings.TrimPrefix(f.Kind.String(), "KIND_")}
	if f.Dialog != 0 {
		parts = append(parts, strconv.FormatUint(f.Dialog, 10))
	}
	if payload, err := json.Marshal(decode(f.Payload)); err == nil && len(f.Payload) > 0 {
		parts = append(parts, string(payload))
	}
	fields, err := fieldsOf(f)
	if err != nil {
		return err.Error()
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		value, _ := json.Marshal(fields[name]) // it has just been read
		if slices.Contains([]string{"kind", "dialog", "payload"}, name) {
			continue
		}
		parts = append(parts, name+"="+string(value))
	}
	return shortened(strings.Join(parts, " "))
}

// shortened is a text of which people read the beginning.
func shortened(text string) string {
	const most = 600
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
