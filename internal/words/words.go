package words

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of what a sentence quotes of a text, in bytes, and of how many words it lists. An error
// with two quotes then fits on a few lines of a terminal. Without them, a file of some megabytes
// with one long value in it would give an error of the same size for each problem with that value.
const (
	maxQuoted = 120
	maxListed = 10
)

// Quote quotes a text, of a long one only the beginning.
func Quote(text string) string {
	if len(text) <= maxQuoted {
		return strconv.Quote(text)
	}
	return fmt.Sprintf("%s… (%d bytes)", strconv.Quote(head(text, maxQuoted)), len(text))
}

// Cut is a text, of a long one only its beginning.
func Cut(text string) string {
	if len(text) <= maxQuoted {
		return text
	}
	return head(text, maxQuoted) + "…"
}

// head is at most the first bytes of a longer text. It ends between two characters: half
// of one would be shown as \xe2 by strconv.Quote, and be invalid where it is not quoted.
func head(text string, end int) string {
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// Clip is a text of at most limit bytes, 32 or more, which ends with how many are missing. The
// room for the number is taken for one of ten digits, whatever the number is. A limit under 32
// could leave less than that room, and no text at all.
func Clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	kept := head(text, limit-len("… (1234567890 bytes more)"))
	return kept + fmt.Sprintf("… (%d bytes more)", len(text)-len(kept))
}

// List joins words, of many only the first. "And 1 more" would take the place of the word that it
// leaves out, so a list may be longer by one.
func List(words []string, separator string) string {
	told := slices.Clone(words)
	if len(words) > maxListed+1 {
		told = append(told[:maxListed], fmt.Sprintf("and %d more", len(words)-maxListed))
	}
	for i, word := range told {
		told[i] = Cut(word)
	}
	return strings.Join(told, separator)
}

// Path joins the steps to a value with dots, of a long way only both ends. Positions in
// lists are [n], and stand without a dot before them, as in actors[2].name. A tree of actors may
// be thousands of levels deep.
func Path(steps []string) string {
	if len(steps) > 2*maxListed {
		steps = slices.Concat(steps[:maxListed], []string{"…"}, steps[len(steps)-maxListed:])
	}
	var out strings.Builder
	for _, step := range steps {
		if out.Len() > 0 && step != "" && !strings.HasPrefix(step, "[") {
			out.WriteByte('.')
		}
		out.WriteString(Cut(step))
	}
	return out.String()
}

// Either lists choices as a sentence does. It is given all words of a type in the source, of
// which there are at least two and never many, so it has no bound.
func Either(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// DidYouMean is a hint at that one of words which is nearest to word; "" if none is
// near.
func DidYouMean(word string, words []string) string {
	if near := nearest(word, words); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

// nearest is the one of words that differs from word by two letters at most, and
// in no more than half of its own; "" if there is none. Capitals, and dashes for
// underscores, make no difference. Of several that are equally near, the first counts.
//
// Words whose lengths differ by more than two cannot be near. They are left out before anything
// is computed, because the effort grows with both lengths, and word is as long as somebody likes.
func nearest(word string, words []string) string {
	best, least := "", 3
	for _, w := range words {
		if len(word) > len(w)+2 || len(w) > len(word)+2 {
			continue
		}
		if d := distance(plain(word), plain(w)); d < least && 2*d <= len(w) {
			best, least = w, d
		}
	}
	return best
}

func plain(word string) string { return strings.ReplaceAll(strings.ToLower(word), "-", "_") }

// distance counts the letters to insert, drop or change from a to b: the Levenshtein distance, by
// bytes. The names that it is for are ASCII. It keeps one row of the table: when the inner loop is
// at j, row[j] is already that of the new row, row[j+1] still that of the old, and diagonal the
// old row[j].
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
