package codecs

import "fmt"

// mostNumber is the longest number of any size that is decoded, in bytes. What the
// decoder does with one that it has no use for takes time that grows with its square.
const mostNumber = 4 << 10

// Heads of CBOR (RFC 8949, 3): a major type in three bits, and an argument in five, or in as many
// bytes as these say.
const (
	majorBytes, majorText, majorTag = 2, 3, 6
	unsignedNumber, negativeNumber  = 2, 3 // tags
	inBytes                         = 24   // to 27: the argument is in 1, 2, 4 or 8 bytes behind
	reserved                        = 28   // to 30; no encoder has them
	inPieces                        = 31   // instead of an argument: pieces follow, and a break
	longestHead                     = 1 + 8
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
// whoever reads on, and its argument is more than there is. That of a head in pieces, and of the
// kinds that are reserved, has no meaning.
func head(data []byte) (major, info byte, argument uint64, rest []byte) {
	major, info = data[0]>>5, data[0]&31
	n := 1
	if argument = uint64(info); info >= inBytes && info < reserved {
		n += 1 << (info - inBytes)
		if len(data) < n {
			return major, info, 1, nil
		}
		argument = 0
		for _, b := range data[1:n] {
			argument = argument<<8 | uint64(b)
		}
	}
	return major, info, argument, data[n:]
}
