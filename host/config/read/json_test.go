package read_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
)

// draw fills a value with anything that its type can hold: every field of every
// struct, those that are yet to come as well. What is empty is nil, as in a Tree that
// was read from a file.
func draw(r *rapid.T, v reflect.Value, name string, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			draw(r, v.Field(i), name+"."+v.Type().Field(i).Name, depth)
		}
	case reflect.Slice:
		n := rapid.IntRange(0, 2).Draw(r, name)
		if depth == 0 && v.Type() == reflect.TypeFor[[]config.Actor]() {
			return
		}
		for i := range n {
			item := reflect.New(v.Type().Elem()).Elem()
			draw(r, item, fmt.Sprintf("%s[%d]", name, i), depth-1)
			v.Set(reflect.Append(v, item))
		}
	case reflect.Map:
		for i := range rapid.IntRange(0, 2).Draw(r, name) {
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			draw(r, key, fmt.Sprintf("%s key %d", name, i), depth)
			draw(r, value, fmt.Sprintf("%s value %d", name, i), depth)
			v.SetMapIndex(key, value)
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(r, name) {
			v.Set(reflect.New(v.Type().Elem()))
			draw(r, v.Elem(), name, depth)
		}
	case reflect.Interface:
		v.Set(reflect.ValueOf(rapid.OneOf(
			rapid.String().AsAny(), rapid.Bool().AsAny(), rapid.Float64Range(-1e300, 1e300).AsAny(),
			rapid.Custom(func(r *rapid.T) []any { return []any{rapid.String().Draw(r, "item")} }).AsAny(),
		).Draw(r, name)))
	case reflect.String:
		v.SetString(rapid.String().Draw(r, name))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(r, name))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64()).Draw(r, name))
	default:
		r.Fatalf("%s is of a kind that this test cannot draw: %s", name, v.Type())
	}
}

// A nested host gets its part of the tree as JSON.
func TestEveryFieldSurvivesJSON(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var want config.Tree
		draw(r, reflect.ValueOf(&want).Elem(), "tree", 2)
		text, err := json.Marshal(want)
		if err != nil {
			r.Fatal(err)
		}
		var got config.Tree
		if err := json.Unmarshal(text, &got); err != nil {
			r.Fatal(err)
		}
		if want.Actors == nil {
			want.Actors = got.Actors // no tree is without actors
		}
		if diff := cmp.Diff(want, got); diff != "" {
			r.Error(diff)
		}
	})
}

func TestZeroFieldsAreNotInJSON(t *testing.T) {
	for want, value := range map[string]any{
		`{"name":"a"}`:              config.Actor{Name: "a"},
		`{"name":"","actors":null}`: config.Tree{},
		`{}`:                        config.Supervision{},
		`{"name":"a","grace":"1.5s","health":{"off":true}}`: config.Actor{
			Name: "a", Grace: config.Duration(1500 * time.Millisecond), Health: config.Health{Off: true},
		},
	} {
		if got, err := json.Marshal(value); err != nil || string(got) != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
}

func TestDurationsInJSONAreTexts(t *testing.T) {
	for _, text := range []string{"5", `"5"`, `""`, "{}", `"5 s"`} {
		var d config.Duration
		if err := json.Unmarshal([]byte(text), &d); err == nil {
			t.Errorf("%s is not a duration, and was read as %s", text, d)
		}
	}
}

// The keys of YAML and JSON are the same, so that a tree as JSON is a config file.
func TestTreeAsJSONIsAFile(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		want := config.Tree{Name: "tree", Actors: validActors(r, "actors", 2)}
		if rapid.Bool().Draw(r, "run") {
			want.Run = &config.Run{Actor: want.Actors[0].Name, Endpoint: "e", Args: map[string]any{"text": "x", "list": []any{true}}}
		}
		want.Supervision = validSupervision(r, "supervision", want.Actors)
		text, err := json.Marshal(want)
		if err != nil {
			r.Fatal(err)
		}
		got, err := read.Parse("tree.json", text, read.Options{Lookup: lookup})
		if err != nil {
			r.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			r.Error(diff)
		}
	})
}

func maybe[T any](r *rapid.T, name string, values ...T) T {
	var none T
	return rapid.SampledFrom(append(values, none)).Draw(r, name)
}

func validActors(r *rapid.T, path string, depth int) []config.Actor {
	var actors []config.Actor
	for i, name := range []string{"a", "b-2", "c_3"}[:rapid.IntRange(1, 3).Draw(r, path)] {
		a := validActor(r, path+"."+name, depth)
		a.Name = name
		if i > 0 {
			a.DependsOn = maybe(r, path+" on", map[string]config.Condition{"a": config.Started})
		}
		actors = append(actors, a)
	}
	return actors
}

func validActor(r *rapid.T, path string, depth int) config.Actor {
	second := config.Duration(time.Second)
	a := config.Actor{
		Command: []string{"./x", "-v"}, Dir: maybe(r, path+" dir", "/tmp"), Env: maybe(r, path+" env", map[string]string{"K": "v"}),
		Replicas: maybe(r, path+" replicas", 1, 3), Grace: maybe(r, path+" grace", second, 1),
		StartTimeout: maybe(r, path+" start", second), CancelTimeout: maybe(r, path+" cancel", second), TermTimeout: maybe(r, path+" term", second),
		Restart: maybe(r, path+" restart", config.Temporary, config.Transient, config.Permanent),
		Health: maybe(r, path+" health", config.Health{Off: true},
			config.Health{Interval: 3 * second, Timeout: 2 * second, Failures: 1, Endpoint: "e"}),
	}
	if a.Restart == config.Transient || a.Restart == config.Permanent {
		a.Backoff = maybe(r, path+" backoff", config.Backoff{Initial: second, Max: second, Reset: 1})
		a.Standby = maybe(r, path+" standby", 1, 2)
		a.Stuck = maybe(r, path+" stuck", config.WarnWhenStuck, config.RestartWhenStuck)
		a.WhileDown = maybe(r, path+" while down", config.WaitWhileDown, config.FailWhileDown)
	}
	if depth > 0 && rapid.Bool().Draw(r, path+" children") {
		a.Actors = validActors(r, path+".actors", depth-1)
		a.Supervision = validSupervision(r, path+".supervision", a.Actors)
	}
	return a
}

func validSupervision(r *rapid.T, path string, actors []config.Actor) config.Supervision {
	for _, a := range actors {
		if a.Restart == config.Transient || a.Restart == config.Permanent {
			return config.Supervision{
				Strategy:    maybe(r, path, config.OneCancelsAll, config.OneForOne, config.OneForAll, config.RestForOne),
				MaxRestarts: maybe(r, path+" restarts", 1, 100), Window: maybe(r, path+" window", config.Duration(time.Minute)),
			}
		}
	}
	return config.Supervision{Strategy: maybe(r, path, config.OneCancelsAll, config.OneForOne)}
}
