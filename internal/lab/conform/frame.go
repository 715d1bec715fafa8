package conform

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// kinds of endpoints, by the names that transcripts have for them.
var endpointKinds = map[string]string{"func": "ENDPOINT_KIND_FUNC", "source": "ENDPOINT_KIND_SOURCE", "context": "ENDPOINT_KIND_CONTEXT"}

// object is a JSON object.
type object = map[string]any

// frameText is a frame as a line of a transcript has it.
type frameText struct {
	kind    wire.Kind
	dialog  uint64
	fields  object // by their names in trellis.proto
	payload []byte // encoded; nil: there is none
	pieces  int    // the payload is sent in pieces of so many bytes; 0: whole
	times   int    // it is sent, or must come, as often
	fails   string // name of an error in the fault
	says    string // words of the root's message
	detail  any    // of the error of that name; nil: not said
}

// parseFrame reads a line, without what stands before the kind.
func parseFrame(text string) (f frameText, err error) {
	name, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	number, ok := wire.Kind_value["KIND_"+name]
	if !ok {
		n, err := strconv.Atoi(strings.TrimPrefix(name, "KIND_"))
		if err != nil {
			return f, fmt.Errorf("there is no frame %q", name)
		}
		number = int32(n)
	}
	f.kind, f.fields, f.times = wire.Kind(number), object{}, 1
	rest = strings.TrimSpace(rest)
	id, after, _ := strings.Cut(rest, " ")
	if f.dialog, err = strconv.ParseUint(id, 10, 64); err == nil {
		rest = after
	}
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		if rest, err = f.parsePart(rest); err != nil {
			return f, err
		}
	}
	return f, nil
}

// parsePart reads what comes next in a line, and gives what is left of it.
func (f *frameText) parsePart(text string) (rest string, err error) {
	end := strings.IndexAny(text, " =")
	if end < 0 {
		end = len(text)
	}
	word := text[:end]
	if strings.HasPrefix(text[end:], "=") && strings.Trim(word, "abcdefghijklmnopqrstuvwxyz_") == "" {
		value, rest, err := parseJSON(text[end+1:])
		if err != nil {
			return "", err
		}
		return rest, f.set(word, value)
	}
	if kind, ok := endpointKinds[word]; ok {
		f.fields["start"] = merge(f.fields["start"], object{"endpoint": word, "kind": kind, "codec": "cbor"})
		return text[end:], nil
	}
	if slices.Contains([]string{"more", "probe", "deaf", "attached"}, word) {
		f.fields[word] = true
		return text[end:], nil
	}
	value, rest, err := parseJSON(text)
	if err == nil {
		f.payload, err = encodeCBOR(value)
	}
	return rest, err
}

func (f *frameText) set(name string, value any) (err error) {
	switch name {
	case "pieces":
		f.pieces, err = strconv.Atoi(fmt.Sprint(value))
	case "times":
		f.times, err = strconv.Atoi(fmt.Sprint(value))
	case "text":
		var n int
		if n, err = strconv.Atoi(fmt.Sprint(value)); err == nil {
			f.payload, err = encodeCBOR(strings.Repeat("x", n))
		}
	case "hex":
		f.payload, err = hex.DecodeString(fmt.Sprint(value))
	case "fails":
		f.fails = fmt.Sprint(value)
	case "says":
		f.says = fmt.Sprint(value)
	case "detail":
		f.detail = value
	case "start":
		f.fields[name] = merge(f.fields[name], value)
	default:
		f.fields[name] = value
	}
	return err
}

// merge gives an object with the fields of both.
func merge(a, b any) object {
	all := object{}
	for _, v := range []any{a, b} {
		if o, ok := v.(object); ok {
			maps.Copy(all, o)
		}
	}
	return all
}

// parseJSON reads one value, and gives what comes behind it.
func parseJSON(text string) (value any, rest string, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err = d.Decode(&value); err != nil {
		return nil, "", fmt.Errorf("at %q: %w", text, err)
	}
	return value, text[d.InputOffset():], nil
}

func encodeCBOR(value any) ([]byte, error) {
	b := wire.NewBuffer(0)
	err := wire.CBOR.Marshal(b, plain(value))
	return b.Bytes(), err
}

// plain puts integers in place of JSON's numbers.
func plain(value any) any {
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		n, _ := v.Float64()
		return n
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case object:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return value
}

// frames are what the line sends: one frame, or a payload's pieces.
func (f *frameText) frames() (all []*wire.Frame, err error) {
	whole := new(wire.Frame)
	if err := convert(f.fields, whole); err != nil {
		return nil, err
	}
	whole.Dialog, whole.Kind, whole.Payload = f.dialog, f.kind, f.payload
	if f.detail != nil {
		if whole.Fault.Detail, err = encodeCBOR(f.detail); err != nil {
			return nil, err
		}
	}
	for f.pieces > 0 && len(whole.Payload) > f.pieces {
		all = append(all, &wire.Frame{Dialog: f.dialog, Kind: f.kind, More: true, Payload: whole.Payload[:f.pieces]})
		whole.Payload = whole.Payload[f.pieces:]
	}
	return append(all, whole), nil
}

func convert(fields object, into *wire.Frame) error {
	text, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return protojson.Unmarshal(text, into)
}

// exact are the fields that may be there only if the line has them.
var exact = []string{"more", "probe", "deaf", "attached", "yields", "credit"}

// mismatch says in what a frame is not the one of the line; "" if it is.
func (f *frameText) mismatch(got *wire.Frame) string {
	if got.Kind != f.kind || got.Dialog != f.dialog {
		return "it is another frame"
	}
	if !bytes.Equal(got.Payload, f.payload) && !sameCBOR(got.Payload, f.payload) {
		return "another payload"
	}
	fields := object{}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(got)
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	if err != nil {
		return err.Error()
	}
	for _, name := range exact {
		if _, ok := f.fields[name]; !ok && fields[name] != nil {
			return "it has " + name
		}
	}
	if what := differs(f.fields, fields); what != "" {
		return what
	}
	return f.mismatchOfFault(got.Fault)
}

func sameCBOR(a, b []byte) bool {
	var x, y any
	return wire.CBOR.Unmarshal(a, &x) == nil && wire.CBOR.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// differs says where got lacks something that want has; "" if nowhere.
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
		if len(g) != len(w) {
			return fmt.Sprintf("%d elements, want %d", len(g), len(w))
		}
		for i := range w {
			if what := differs(w[i], g[i]); what != "" {
				return what
			}
		}
		return ""
	}
	if want == "*" && got != nil || fmt.Sprint(want) == fmt.Sprint(got) {
		return ""
	}
	return fmt.Sprintf("%v, want %v", got, want)
}

func (f *frameText) mismatchOfFault(got *wire.Fault) string {
	if !strings.Contains(got.GetMessage(), f.says) {
		return fmt.Sprintf("the message is %q", got.GetMessage())
	}
	if f.fails == "" {
		return ""
	}
	for _, e := range errorsOf(got) {
		if e.Name != f.fails {
			continue
		}
		if f.detail == nil {
			return ""
		}
		var detail map[string]any
		if err := wire.CBOR.Unmarshal(e.Detail, &detail); err != nil {
			return "detail: " + err.Error()
		}
		return differs(f.detail, asJSON(detail))
	}
	return "no error of the fault has that name"
}

// errorsOf are all errors of a fault.
func errorsOf(f *wire.Fault) []*wire.Fault {
	if f == nil {
		return nil
	}
	all := []*wire.Fault{f}
	for _, below := range slices.Concat(f.Causes, f.Also) {
		all = append(all, errorsOf(below)...)
	}
	return all
}

// asJSON is a value as JSON reads it.
func asJSON(v any) any {
	if m, ok := v.(map[any]any); ok {
		all := object{}
		for key, value := range m {
			all[fmt.Sprint(key)] = asJSON(value)
		}
		return all
	}
	if m, ok := v.(object); ok {
		for key := range m {
			m[key] = asJSON(m[key])
		}
	}
	return v
}
