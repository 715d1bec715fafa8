package wire

import (
	"fmt"
	"math/big"
	"reflect"
	"sync"
)

// mostNumber is the longest number of any size that is decoded, in bytes. What the
// decoder does with one that it has no use for takes time that grows with its square.
const mostNumber = 4 << 10

// What is looked for in types: numbers of any size, and places for any value.
var (
	bigType = reflect.TypeFor[big.Int]()
	anyType = reflect.TypeFor[any]()
)

// part is one type in another: the question that knownParts has the answers to.
type part struct{ whole, part reflect.Type }

var knownParts sync.Map // part to bool

// contains reports whether values of a type may have values of another one inside. Any interface
// counts as a place for any value. The answers are kept for good: a program has a limited number
// of types, and each is asked about for every payload.
func contains(t, what reflect.Type) bool {
	if known, ok := knownParts.Load(part{t, what}); ok {
		return known.(bool) //nolint:forcetypeassert // nothing else is stored
	}
	has := find(t, what, map[reflect.Type]bool{})
	knownParts.Store(part{t, what}, has)
	return has
}

// find walks a type. seen keeps it from going round in a recursive one, and is true for types
// that were entered and led to nothing so far.
func find(t, what reflect.Type, seen map[reflect.Type]bool) bool {
	if t == what || what == anyType && t.Kind() == reflect.Interface {
		return true
	}
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Map:
		return find(t.Key(), what, seen) || find(t.Elem(), what, seen)
	case reflect.Slice, reflect.Array, reflect.Pointer:
		return find(t.Elem(), what, seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if (f.IsExported() || f.Anonymous) && find(f.Type, what, seen) {
				return true
			}
		}
	}
	return false
}

// Heads of CBOR (RFC 8949, 3): a major type in three bits, and an argument.
const (
	majorBytes, majorText, majorTag = 2, 3, 6
	unsignedNumber, negativeNumber  = 2, 3 // tags
	inPieces                        = 31   // instead of an argument: pieces follow, and a break
)

// checkNumbers refuses data that has a long number. It reads head after head, as they lie, without
// regard to nesting: a tag belongs to what comes right behind it, at any depth. A number in
// pieces is refused whatever its size, since its length is not told; encoders do not make one.
// What is not well-formed is the decoder's to refuse.
func checkNumbers(data []byte) error {
	number := false // the head before was the tag of one
	for len(data) > 0 {
		major, info, argument, rest := head(data)
		if number && major == majorBytes && (info == inPieces || argument > mostNumber) {
			return fmt.Errorf("a number of more than %d bytes", mostNumber)
		}
		if (major == majorBytes || major == majorText) && info != inPieces {
			rest = rest[min(argument, uint64(len(rest))):]
		}
		number = major == majorTag && (argument == unsignedNumber || argument == negativeNumber)
		data = rest
	}
	return nil
}

// head takes a head off data; of one that is cut off nothing is left, which ends the loop of
// whoever reads on. The argument of a head in pieces has no meaning.
func head(data []byte) (major, info byte, argument uint64, rest []byte) {
	major, info = data[0]>>5, data[0]&31
	n := 1
	if argument = uint64(info); info >= 24 && info <= 27 {
		n += 1 << (info - 24)
		if len(data) < n {
			return major, info, 0, nil
		}
		argument = 0
		for _, b := range data[1:n] {
			argument = argument<<8 | uint64(b)
		}
	}
	return major, info, argument, data[n:]
}
