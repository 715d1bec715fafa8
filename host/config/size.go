package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/words"
)

// Size is a number of bytes that is written as in "512MiB"; in JSON it is a number. JSON is what
// one host sends to another, and a number there is exact, whatever it is a multiple of.
type Size int64

// The units of a Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

// units are how a Size may be written. Larger ones come first, and each before those that it ends
// in: 1MiB also ends in B.
var units = []struct {
	name string
	size Size
}{
	{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3}, {"B", 1},
}

// String writes the size as a whole number of the unit that makes it shortest.
func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	best := strconv.FormatInt(int64(s), 10) + "B"
	for _, u := range units {
		if text := strconv.FormatInt(int64(s/u.size), 10) + u.name; s%u.size == 0 && len(text) < len(best) {
			best = text
		}
	}
	return best
}

// ParseSize reads a size: a number, which may have a fraction, and a unit, B, KB,
// MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (of 1024). Only 0 needs no unit.
func ParseSize(text string) (Size, error) {
	if text == "0" {
		return 0, nil
	}
	for _, u := range units {
		number, found := strings.CutSuffix(text, u.name)
		if !found {
			continue
		}
		// ParseFloat takes forms that nobody means as a size: hexadecimal, exponents, underscores,
		// Inf and NaN. They are refused by their letters. A fraction must come to whole bytes.
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		bytes := n * float64(u.size)
		if err != nil || strings.ContainsAny(number, "xXpPeE_iInN") || bytes < 0 || bytes >= math.MaxInt64 || bytes != math.Trunc(bytes) {
			break
		}
		return Size(bytes), nil
	}
	return 0, fmt.Errorf("expected a size such as 512MiB, 1.5GiB or 1GB, got %s", words.Quote(text))
}
