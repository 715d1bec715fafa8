package recorded

// value is the first item of CBOR in its shortest form, as [ParseNotation] gives it.
type value struct {
	major   byte
	arg     uint64   // of numbers and tags: themselves
	content []byte   // of texts and byte strings
	items   [][]byte // of lists; of mappings, keys and values in turn; of tags, what is in them
	whole   []byte
}

// first takes the first item off. b is what [ParseNotation] has made.
func first(b []byte) (v value, rest []byte) {
	v.major, v.arg = b[0]>>5, uint64(b[0]&31)
	rest = b[1:]
	if v.arg >= 24 {
		size := 1 << (v.arg - 24)
		v.arg = 0
		for _, digit := range rest[:size] {
			v.arg = v.arg<<8 | uint64(digit)
		}
		rest = rest[size:]
	}
	n := uint64(0)
	switch v.major {
	case byteString, textString:
		v.content, rest = rest[:v.arg], rest[v.arg:]
	case list:
		n = v.arg
	case mapping:
		n = 2 * v.arg
	case tag:
		n = 1
	}
	for ; n > 0; n-- {
		var item value
		item, rest = first(rest)
		v.items = append(v.items, item.whole)
	}
	v.whole = b[:len(b)-len(rest)]
	return v, rest
}
