package recorded

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// ParseFrame reads a frame's text.
func ParseFrame(text string) (*wire.Frame, error) {
	name, rest, _ := strings.Cut(text, " ")
	kind, known := wire.Kind_value["KIND_"+name]
	if !known {
		n, err := strconv.ParseInt(name, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("there is no frame %.40q", name)
		}
		kind = int32(n)
	}
	id, after, _ := strings.Cut(rest, " ")
	dialog, err := strconv.ParseUint(id, 10, 64)
	if err == nil {
		rest = after
	}
	p := frameParser{parser: parser{rest}, fields: map[string]json.RawMessage{}, details: map[int][]byte{}}
	for p.skip(); p.text != ""; p.skip() {
		if err := p.part(); err != nil {
			return nil, err
		}
	}
	return p.frame(dialog, wire.Kind(kind))
}

// frameParser gathers the parts of a frame.
type frameParser struct {
	parser

	payload []byte
	fields  map[string]json.RawMessage // by their names in trellis.proto
	details map[int][]byte             // of the fault's errors
}

// part reads the next part: a field with its name, or the payload.
func (p *frameParser) part() error {
	word := p.text[:len(p.text)-len(strings.TrimLeft(p.text, "abcdefghijklmnopqrstuvwxyz_0123456789"))]
	if word == "" || !strings.HasPrefix(p.text[len(word):], "=") {
		item, err := p.item(0)
		return p.paid(item, err)
	}
	p.text = p.text[len(word)+1:]
	if err := p.field(word); err != nil {
		return fmt.Errorf("%s: %w", word, err)
	}
	return nil
}

// paid takes the payload.
func (p *frameParser) paid(payload []byte, err error) error {
	if err == nil && p.payload != nil {
		return errors.New("a frame has one payload")
	}
	p.payload = payload
	return err
}

func (p *frameParser) field(name string) error {
	if number, ok := strings.CutPrefix(name, "detail"); ok {
		i, err := strconv.Atoi(number)
		if err != nil {
			return errors.New("expected the number of an error behind its name")
		}
		p.details[i], err = p.item(0)
		return err
	}
	var raw json.RawMessage
	d := json.NewDecoder(strings.NewReader(p.text))
	if err := d.Decode(&raw); err != nil {
		return err
	}
	p.text = p.text[d.InputOffset():]
	switch name {
	case "json":
		return p.paid(raw, nil)
	case "hex":
		return p.paid(hex.DecodeString(strings.Trim(string(raw), `"`)))
	case "dialog", "kind", "payload", "more", "total":
		return errors.New("it cannot be given so")
	}
	if _, twice := p.fields[name]; twice {
		return errors.New("it comes twice")
	}
	p.fields[name] = raw
	return nil
}

// frame makes the frame of its parts.
func (p *frameParser) frame(dialog uint64, kind wire.Kind) (*wire.Frame, error) {
	text, err := json.Marshal(p.fields)
	if err != nil {
		return nil, err
	}
	f := new(wire.Frame)
	if err := protojson.Unmarshal(text, f); err != nil {
		_, what, _ := strings.Cut(err.Error(), "): ") // before that stands a place in our own text
		return nil, fmt.Errorf("a field of the frame: %s", what)
	}
	for i, detail := range p.details {
		if i < 0 || i >= len(f.Fault.GetNodes()) {
			return nil, fmt.Errorf("detail%d: the fault has %d errors", i, len(f.Fault.GetNodes()))
		}
		f.Fault.Nodes[i].Detail = detail
	}
	f.Dialog, f.Kind, f.Payload = dialog, kind, p.payload
	return f, nil
}
