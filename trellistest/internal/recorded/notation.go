package recorded

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// mostLevels is how deep values are nested at most, as in the protocol.
const mostLevels = 64

// Major types of CBOR (RFC 8949, 3.1).
const (
	unsigned = iota
	negative
	byteString
	textString
	list
	mapping
	tag
	simple
)

// appendHead writes the shortest head.
func appendHead(b []byte, major byte, arg uint64) []byte {
	first := major << 5
	switch {
	case arg < 24:
		return append(b, first|byte(arg))
	case arg <= math.MaxUint8:
		return append(b, first|24, byte(arg))
	case arg <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, first|25), uint16(arg))
	case arg <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, first|26), uint32(arg))
	}
	return binary.BigEndian.AppendUint64(append(b, first|27), arg)
}

// words are the values that have names.
var words = map[string]byte{"false": simple<<5 | 20, "true": simple<<5 | 21, "null": simple<<5 | 22, "undefined": simple<<5 | 23}

// narrow encodes a number in as few bits as it needs.
var narrow = func() cbor.EncMode {
	mode, err := cbor.EncOptions{ShortestFloat: cbor.ShortestFloat16}.EncMode()
	if err != nil {
		panic(err) // constant options
	}
	return mode
}()

// parseFloat encodes a number as wide as its suffix says.
func parseFloat(word string) (item []byte, err error) {
	digits, width, _ := strings.Cut(word, "_")
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return nil, fmt.Errorf("%.40q is not a number", word)
	}
	item, err = narrow.Marshal(f)
	switch {
	case err != nil || math.IsNaN(f) || math.IsInf(f, 0):
		return item, err
	case width == "1" && len(item) == 3:
		return item, nil
	case width == "2":
		return binary.BigEndian.AppendUint32([]byte{simple<<5 | 26}, math.Float32bits(float32(f))), nil
	case width == "" || width == "3":
		return binary.BigEndian.AppendUint64([]byte{simple<<5 | 27}, math.Float64bits(f)), nil
	}
	return nil, fmt.Errorf("%.40q: it does not have as many bits as it says", word)
}

// ParseNotation reads the first value of a text, and gives its CBOR in the shortest form, and the
// text behind it.
func ParseNotation(text string) (item []byte, rest string, err error) {
	p := parser{text}
	item, err = p.item(0)
	return item, p.text, err
}

// parser has what is still to be read.
type parser struct{ text string }

func (p *parser) skip() { p.text = strings.TrimLeft(p.text, " \t") }

// take reports whether the next thing is s, and goes behind it.
func (p *parser) take(s string) (ok bool) {
	p.skip()
	p.text, ok = strings.CutPrefix(p.text, s)
	return ok
}

// expected says what stands where something else should.
func (p *parser) expected(what string) error {
	if p.text == "" {
		return fmt.Errorf("expected %s, got the end of the line", what)
	}
	return fmt.Errorf("expected %s, got %.20q", what, p.text)
}

func (p *parser) item(level int) ([]byte, error) {
	p.skip()
	switch {
	case level >= mostLevels:
		return nil, fmt.Errorf("more than %d levels", mostLevels)
	case strings.HasPrefix(p.text, `"`):
		return p.quoted()
	case p.take("h'"):
		return p.hexadecimal()
	case p.take("''_"):
		return appendHead(nil, byteString, 0), nil
	case p.take("(_ "):
		return p.chunks(level)
	case p.take("[_ "), p.take("["):
		return p.many(list, "]", level)
	case p.take("{_ "), p.take("{"):
		return p.many(mapping, "}", level)
	}
	word := p.text[:len(p.text)-len(strings.TrimLeft(p.text, "+-._0123456789abcdefghijklmnopqrstuvwxyzEIN"))]
	if b, ok := words[word]; ok {
		p.text = p.text[len(word):]
		return []byte{b}, nil
	}
	if word == "simple" {
		return p.unnamed()
	}
	if word == "" {
		return nil, p.expected("a value")
	}
	p.text = p.text[len(word):]
	if n, whole := new(big.Int).SetString(word, 10); whole && len(word) < longestNumber {
		return p.number(n, level)
	}
	return parseFloat(word)
}

// longestNumber is how many digits a number may have: as many as the largest that is written.
const longestNumber = 700_000

// number is an integer, or the number of a tag.
func (p *parser) number(n *big.Int, level int) ([]byte, error) {
	major, arg := byte(unsigned), n
	if n.Sign() < 0 {
		major, arg = negative, new(big.Int).Not(n)
	}
	if !arg.IsUint64() { // a byte string with tag 2 or 3
		b := arg.Bytes()
		return append(appendHead([]byte{tag<<5 | 2 + major}, byteString, uint64(len(b))), b...), nil
	}
	if major == negative || !p.take("(") {
		return appendHead(nil, major, arg.Uint64()), nil
	}
	content, err := p.item(level + 1)
	if err == nil && !p.take(")") {
		err = p.expected(`")"`)
	}
	return append(appendHead(nil, tag, arg.Uint64()), content...), err
}

// unnamed is a simple value by its number.
func (p *parser) unnamed() ([]byte, error) {
	digits, rest, closed := strings.Cut(strings.TrimPrefix(p.text, "simple("), ")")
	n, err := strconv.ParseUint(digits, 10, 8)
	if !closed || err != nil || n >= 24 && n < 32 {
		return nil, p.expected("simple(number)")
	}
	p.text = rest
	return appendHead(nil, simple, n), nil
}

// quoted is a text. An empty one that was sent in no pieces has a mark behind it.
func (p *parser) quoted() ([]byte, error) {
	end := 1
	for end < len(p.text) && p.text[end] != '"' {
		if p.text[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(p.text) {
		return nil, errors.New("a text without its closing quote")
	}
	var s string
	if err := json.Unmarshal([]byte(p.text[:end+1]), &s); err != nil {
		return nil, fmt.Errorf("%.40q is not a text as JSON has it: %w", p.text[:end+1], err)
	}
	p.text = p.text[end+1:]
	if s == "" {
		p.text = strings.TrimPrefix(p.text, "_")
	}
	return append(appendHead(nil, textString, uint64(len(s))), s...), nil
}

func (p *parser) hexadecimal() ([]byte, error) {
	digits, rest, closed := strings.Cut(p.text, "'")
	content, err := hex.DecodeString(digits)
	if !closed || err != nil {
		return nil, p.expected("hexadecimal digits and a quote")
	}
	p.text = rest
	return append(appendHead(nil, byteString, uint64(len(content))), content...), nil
}

// chunks are the pieces of one text or byte string. It is put together.
func (p *parser) chunks(level int) ([]byte, error) {
	var whole []byte
	var major byte
	for n := 0; !p.take(")"); n++ {
		if n > 0 && !p.take(",") {
			return nil, p.expected("a comma or \")\"")
		}
		piece, err := p.item(level + 1)
		if err != nil {
			return nil, err
		}
		v, _ := first(piece)
		if v.major != byteString && v.major != textString || n > 0 && v.major != major {
			return nil, errors.New("expected pieces of one text or byte string")
		}
		major, whole = v.major, append(whole, v.content...)
	}
	return append(appendHead(nil, major, uint64(len(whole))), whole...), nil
}

// many reads what is in a list or a mapping, to its end.
func (p *parser) many(major byte, end string, level int) ([]byte, error) {
	var items []byte
	n := uint64(0)
	for ; !p.take(end); n++ {
		if n > 0 && !p.take(",") {
			return nil, p.expected(fmt.Sprintf("a comma or %q", end))
		}
		item, err := p.item(level + 1)
		if err == nil && major == mapping {
			items = append(items, item...)
			if !p.take(":") {
				return nil, p.expected("a colon")
			}
			item, err = p.item(level + 1)
		}
		if err != nil {
			return nil, err
		}
		items = append(items, item...)
	}
	return append(appendHead(nil, major, n), items...), nil
}
