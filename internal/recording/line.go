package recording

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// The lines that begin and end a file.
const (
	FirstLine  = "trellis recording 1"
	LastLine   = "-- end"
	Incomplete = "-- incomplete: "
)

// mostNotation is the largest payload, in bytes, whose notation is written: nobody reads a longer
// line, and numbers of any size take time that grows faster than they do.
const mostNotation = 256 << 10

// notation is that of RFC 8949, 8. Letters beyond ASCII are escaped in it, as are characters on
// which a terminal would act.
var notation = func() cbor.DiagMode {
	mode, err := cbor.DiagOptions{FloatPrecisionIndicator: true, MaxNestedLevels: 64, MaxArrayElements: math.MaxInt32, MaxMapPairs: math.MaxInt32}.DiagMode()
	if err != nil {
		panic(err) // constant options
	}
	return mode
}()

// Notation is the text of one CBOR item. ok is false for bytes that are not one, or have no text.
func Notation(item []byte) (text string, ok bool) {
	text, err := notation.Diagnose(item)
	return text, err == nil && len(item) > 0
}

// AppendFrame writes a frame as text. isJSON says that its payload is. The frame is used up.
func AppendFrame(to []byte, f *wire.Frame, isJSON bool) ([]byte, error) {
	to = append(to, strings.TrimPrefix(f.Kind.String(), "KIND_")...)
	if f.Dialog != 0 || len(f.Payload) > 0 { // or a number would be taken for the dialog
		to = fmt.Appendf(to, " %d", f.Dialog)
	}
	to = appendPayload(to, f.Payload, isJSON)
	var details []byte
	for i, n := range f.Fault.GetNodes() {
		if text, ok := Notation(n.Detail); ok {
			details = fmt.Appendf(details, " detail%d=%s", i, text)
			n.Detail = nil
		}
	}
	f.Dialog, f.Kind, f.Payload = 0, 0, nil
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(f)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		var compact bytes.Buffer // protojson puts spaces in, now and then, so that nobody relies on its output
		if err := json.Compact(&compact, fields[name]); err != nil {
			return nil, err
		}
		to = appendPrintable(fmt.Appendf(to, " %s=", name), compact.String())
	}
	return append(to, details...), nil
}

// appendPayload writes bytes in the way that people read best, of those that lose nothing.
func appendPayload(to, payload []byte, isJSON bool) []byte {
	text, ok := "", false
	if len(payload) <= mostNotation {
		text, ok = Notation(payload)
	}
	switch {
	case len(payload) == 0:
		return to
	case isJSON && json.Valid(payload) && printable(payload):
		return fmt.Appendf(to, " json=%s", payload)
	case !isJSON && ok:
		return append(append(to, ' '), text...)
	}
	return fmt.Appendf(to, ` hex="%x"`, payload)
}

// printable reports whether a text can stand in a line as it is.
func printable(text []byte) bool {
	return utf8.Valid(text) && len(bytes.TrimSpace(text)) == len(text) && !bytes.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// appendPrintable escapes what cannot be seen, all of which is inside of quotes in JSON.
func appendPrintable(to []byte, s string) []byte {
	for _, r := range s {
		switch {
		case unicode.IsPrint(r):
			to = utf8.AppendRune(to, r)
		case r > 0xffff:
			to = fmt.Appendf(to, `\u%04x\u%04x`, 0xd7c0+r>>10, 0xdc00+r&0x3ff)
		default:
			to = fmt.Appendf(to, `\u%04x`, r)
		}
	}
	return to
}
