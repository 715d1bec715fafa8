package tracing

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Batch is spans as they are told over a link: most have their words in common with others, and all
// else that they are is numbers.
type Batch struct {
	Words []Words `json:"words"`
	Spans []byte  `json:"spans"` // BytesInBatch of each, as the protocol says

	places map[Words]int // in Words
}

// BytesInBatch is what a span takes of a batch beside its words.
const BytesInBatch = 2 + 2 + 8 + 8 + 16 + 8 + 8

// Add adds a span, and reports whether none before has the same words.
func (b *Batch) Add(s Ended) (first bool) {
	at, known := b.places[s.Words]
	if !known {
		if at = len(b.Words); b.places == nil {
			b.places = map[Words]int{}
		}
		b.places[s.Words], b.Words = at, append(b.Words, s.Words)
	}
	to := append(binary.BigEndian.AppendUint16(b.Spans, uint16(at)), s.Kind, s.Status)
	to = binary.BigEndian.AppendUint64(to, uint64(s.Time))
	to = binary.BigEndian.AppendUint64(to, uint64(s.Duration))
	b.Spans = append(append(append(to, s.Trace[:]...), s.ID[:]...), s.Parent[:]...)
	return !known
}

// Len is how many spans there are.
func (b *Batch) Len() int { return len(b.Spans) / BytesInBatch }

// Check reports what is wrong with a batch that has come.
func (b *Batch) Check() error {
	if n := len(b.Spans); n%BytesInBatch != 0 {
		return fmt.Errorf("spans of %d bytes; each has %d", n, BytesInBatch)
	}
	for i := range b.Len() {
		if at := b.place(i); at >= len(b.Words) {
			return fmt.Errorf("a span with the words %d, of %d", at, len(b.Words))
		}
	}
	return nil
}

// place is where the words of a span are.
func (b *Batch) place(i int) int { return int(binary.BigEndian.Uint16(b.Spans[i*BytesInBatch:])) }

// Take gives a span of a batch that is as it should be, and the place of its words. It is taken once: what
// words have beside their texts, the first one has that is taken.
func (b *Batch) Take(i int) (s Ended, place int) {
	place = b.place(i)
	from := b.Spans[i*BytesInBatch:]
	s.Numbers, s.Words = &Numbers{
		Kind: from[2], Status: from[3], Time: int64(binary.BigEndian.Uint64(from[4:])), Duration: time.Duration(binary.BigEndian.Uint64(from[12:])),
		Trace: [16]byte(from[20:]), ID: [8]byte(from[36:]), Parent: [8]byte(from[44:]),
	}, b.Words[place]
	b.Words[place].Rest = nil
	return s, place
}
