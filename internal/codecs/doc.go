// Package codecs makes payloads of values, and values of payloads: a [Codec] is CBOR, JSON or
// protobuf, and a START names it. It is machinery of this project and promises no stable API.
// docs/protocol says what the payloads look like.
//
//	c, err := codecs.ByName(start.Codec)
//	to := wire.NewScratch()
//	err = c.Marshal(to, value, nil) // to has the payload
//	err = c.Unmarshal(payload, &value)
//
// CBOR refuses a value that contains itself where it is encoded (value.go), and a number
// that costs more to decode than it has bytes (number.go). All codecs give the same values
// where any value may be (jsonnumber.go).
//
// Nothing here has an owner or an end, but for what was found out about types, which is never
// forgotten.
package codecs
