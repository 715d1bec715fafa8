package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// choices are the texts that a value of a type may be.
var choices = map[reflect.Type][]string{
	reflect.TypeFor[Condition]():   {string(Started), string(Healthy)},
	reflect.TypeFor[MTLS]():        {string(MTLSAuto), string(MTLSOff)},
	reflect.TypeFor[RestartKind](): {string(Temporary), string(Transient), string(Permanent)},
	reflect.TypeFor[Strategy]():    {string(OneCancelsAll), string(OneForOne), string(OneForAll), string(RestForOne)},
	reflect.TypeFor[WhileDown]():   {string(WaitWhileDown), string(FailWhileDown)},
}

// elsewhereCalled are words that other supervisors have for a choice.
var elsewhereCalled = map[string]string{
	"always": string(Permanent), "unless-stopped": string(Permanent),
	"on-failure": string(Transient), "on_failure": string(Transient),
	"never": string(Temporary), "no": string(Temporary),
}

func (r *reader) decodeChoice(n *yaml.Node, v reflect.Value, path string) {
	allowed := choices[v.Type()]
	for _, word := range allowed {
		if n.Kind == yaml.ScalarNode && n.Value == word {
			v.SetString(word)
			return
		}
	}
	r.refuse(n, path, "expected %s, got %s%s", either(allowed), describe(n), meant(n, allowed))
}

// either lists choices as a sentence does.
func either(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// meant is a hint at what was meant instead of a value, "" if nothing is near.
func meant(n *yaml.Node, allowed []string) string {
	if n.Kind != yaml.ScalarNode {
		return ""
	}
	near := elsewhereCalled[n.Value]
	if !slices.Contains(allowed, near) {
		near = nearest(n.Value, allowed)
	}
	return didYouMean(near)
}

// didYouMean is the hint at a word, "" for none.
func didYouMean(word string) string {
	if word == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", word)
}

// nearest is the one of words that differs from word by two letters at most, and
// in no more than half of its own; "" if there is none. Capitals, and dashes for
// underscores, make no difference.
func nearest(word string, words []string) string {
	best, least := "", 3
	for _, w := range words {
		if len(word) > len(w)+2 {
			continue
		}
		if d := distance(plain(word), plain(w)); d < least && 2*d <= len(w) {
			best, least = w, d
		}
	}
	return best
}

func plain(word string) string { return strings.ReplaceAll(strings.ToLower(word), "-", "_") }

// distance counts the letters to insert, drop or change from a to b.
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
