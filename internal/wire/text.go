package wire

import (
	"strings"

	"github.com/seed-2ba35074/trellis/internal/words"
)

// maxText bounds a text that people read in a frame of its own, in bytes.
const maxText = 32 << 10

// Text is s as a frame may carry it: valid UTF-8 of at most 32 KiB, with a note of what was cut
// off. Protobuf refuses any other text, and would so refuse the whole frame; the reason of a
// cancel must not keep the cancel from being sent.
func Text(s string) string { return words.Clip(strings.ToValidUTF8(s, "\uFFFD"), maxText) }
