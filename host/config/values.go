package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/words"
)

// choices are the texts that a value of a type may be.
var choices = map[reflect.Type][]string{
	reflect.TypeFor[Condition]():   {string(Started), string(Healthy)},
	reflect.TypeFor[MTLS]():        {string(MTLSAuto), string(MTLSOff)},
	reflect.TypeFor[RestartKind](): {string(Temporary), string(Transient), string(Permanent)},
	reflect.TypeFor[Strategy]():    {string(OneCancelsAll), string(OneForOne), string(OneForAll), string(RestForOne)},
	reflect.TypeFor[WhenStuck]():   {string(WarnWhenStuck), string(RestartWhenStuck)},
	reflect.TypeFor[WhileDown]():   {string(WaitWhileDown), string(FailWhileDown)},
}

// elsewhereCalled are words that other supervisors have for a choice.
var elsewhereCalled = map[string]string{
	"always": string(Permanent), "unless-stopped": string(Permanent),
	"on-failure": string(Transient), "on_failure": string(Transient),
	"never": string(Temporary), "no": string(Temporary),
}

var (
	durationType = reflect.TypeFor[Duration]()
	sizeType     = reflect.TypeFor[Size]()
)

// values checks what the type of each value in a struct asks of it. Those of actors
// further below are left to their own check.
func (c *checker) values(v reflect.Value, at *place) {
	switch {
	case v.IsZero():
	case choices[v.Type()] != nil:
		c.choice(v.String(), choices[v.Type()], at)
	case v.Type() == durationType:
		if d := Duration(v.Int()); d < 0 {
			c.note(at, "expected a duration above zero, got %v", d)
		}
	case v.Type() == sizeType:
		if size := v.Int(); size < 0 {
			c.note(at, "expected a size of 0 or more, got %d", size)
		}
	case v.Kind() == reflect.Int:
		if n := v.Int(); n < 0 {
			c.note(at, "expected a whole number above zero, got %d", n)
		}
	case v.Kind() == reflect.Pointer:
		c.values(v.Elem(), at)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			c.values(v.Field(i), at.key(v.Type().Field(i).Tag.Get("yaml")))
		}
	case v.Kind() == reflect.Map && choices[v.Type().Elem()] != nil:
		for _, key := range v.MapKeys() {
			c.values(v.MapIndex(key), at.key(key.String()))
		}
	}
}

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
