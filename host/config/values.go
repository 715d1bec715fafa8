package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/words"
)

// elsewhereCalled are words that other supervisors, such as systemd and Docker, have for a choice.
// They are too far from the right word for a hint by letters, and are not accepted as synonyms: two
// names for a thing would have to be known by everyone who reads a file.
var elsewhereCalled = map[string]string{
	"always": string(Permanent), "unless-stopped": string(Permanent),
	"on-failure": string(Transient), "on_failure": string(Transient),
	"never": string(Temporary), "no": string(Temporary),
}

// values checks each value of a struct by itself. The values of the actors in it are
// left to their own check.
func (c *checker) values(v reflect.Value, at *place) {
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		c.value(v.Field(i), tag, at.key(tag.Get("yaml")))
	}
}

// value checks a value of which tag is the field's. What is zero was left out, and is fine: a zero
// that was written in a file is refused by package read, which alone can tell the two apart.
func (c *checker) value(v reflect.Value, tag reflect.StructTag, at *place) {
	switch {
	case v.IsZero():
	case v.Kind() == reflect.String && tag.Get("oneof") != "":
		c.choice(v.String(), strings.Fields(tag.Get("oneof")), at)
	case v.CanInt():
		c.number(v, tag, at)
	case v.Kind() == reflect.Pointer:
		c.value(v.Elem(), tag, at)
	case v.Kind() == reflect.Struct:
		c.values(v, at)
	case v.Kind() == reflect.Map:
		for _, key := range v.MapKeys() {
			c.value(v.MapIndex(key), tag, at.key(key.String()))
		}
	}
}

// number checks a number, a duration or a size by the bounds in its tags. A lower bound
// has its reason behind a comma.
func (c *checker) number(v reflect.Value, tag reflect.StructTag, at *place) {
	n, least, most := v.Int(), tag.Get("min"), tag.Get("max")
	number, _, _ := strings.Cut(least, ",")
	_, isSize := reflect.TypeAssert[Size](v)
	_, isDuration := reflect.TypeAssert[Duration](v)
	switch {
	case n < 0 && isSize:
		c.note(at, "expected a size of 0 or more, got %d", n)
	case n < 0 && isDuration:
		c.note(at, "expected a duration above zero, got %v", v)
	case n < 0:
		c.note(at, "expected a whole number above zero, got %d", n)
	case least != "" && n < parsed(v.Type(), number).Int():
		c.note(at, "expected at least %s, got %v", least, v)
	case most != "" && n > parsed(v.Type(), most).Int() && isSize:
		c.note(at, "expected at most %s, got %v", most, v)
	case most != "" && n > parsed(v.Type(), most).Int():
		c.note(at, "expected a whole number from 1 to %s, got %v", most, v)
	}
}

// choice refuses a word that is not one of those allowed, with the one that was meant: by
// its letters, or because another supervisor calls it so.
func (c *checker) choice(word string, allowed []string, at *place) {
	if slices.Contains(allowed, word) {
		return
	}
	hint := words.DidYouMean(word, allowed)
	if meant := elsewhereCalled[strings.ToLower(word)]; slices.Contains(allowed, meant) {
		hint = words.DidYouMean(meant, allowed)
	}
	c.note(at, "expected %s, got %s%s", words.Either(allowed), words.Quote(word), hint)
}
