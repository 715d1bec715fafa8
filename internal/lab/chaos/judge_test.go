//go:build linux

package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// The judge itself: north-1 was killed, and everybody was told as it should be;
// each case changes that a little.
func TestTheJudge(t *testing.T) {
	const pidOfNorth, pidOfRoot = 2, 1
	heard := func(owner string, pid int, kind, class, who string) witness {
		return witness{owner, pid, Failure{Task{Kind: kind, Target: "north-1", Peer: "n1-old"}, Verdict{Class: class, Who: who}}}
	}
	asItShouldBe := []witness{
		heard("north", pidOfNorth, kindHold, classDied, "n1-old"),
		heard("north", pidOfNorth, kindTicks, classDied, "n1-old"),
		heard("north", pidOfNorth, kindCall, classDied, "n1-old"),
		heard("root", pidOfRoot, kindDeep, classDied, "n1-old"),
	}
	other := heard("north", pidOfNorth, kindHold, classDied, "n1-old")
	other.f.Target = "north-2"
	refused := heard("north", pidOfNorth, kindHold, classClosing, "")
	refused.f.Peer = ""
	cases := map[string]struct {
		heard []witness
		steps []witnessed
		want  string
	}{
		"all is well":               {asItShouldBe, nil, ""},
		"no call was under way":     {slices.Delete(slices.Clone(asItShouldBe), 2, 3), nil, ""},
		"the root is not told":      {asItShouldBe[:3], nil, "never told: root's deep with north-1"},
		"a context is not told":     {asItShouldBe[1:], nil, "never told: north's hold with north-1"},
		"told twice":                {append(slices.Clone(asItShouldBe), asItShouldBe[0]), nil, "told 2 times"},
		"somebody else is told":     {append(slices.Clone(asItShouldBe), other), nil, "none of its business"},
		"another process is named":  {append(asItShouldBe[1:], heard("north", pidOfNorth, kindHold, classDied, "n1-new")), nil, "names another process"},
		"another actor is named":    {append(asItShouldBe[1:], heard("north", pidOfNorth, kindHold, classDied, "n2")), nil, "not one of"},
		"another kind of failure":   {append(asItShouldBe[1:], heard("north", pidOfNorth, kindHold, classUnhealthy, "n1-old")), nil, "not one of"},
		"a text without a type":     {append(asItShouldBe[1:], heard("north", pidOfNorth, kindHold, classUntyped, "")), nil, "not typed"},
		"an end without an error":   {append(asItShouldBe[1:], heard("north", pidOfNorth, kindHold, classNothing, "")), nil, "not typed"},
		"refused, not having ended": {append(slices.Clone(asItShouldBe), refused), nil, "not one of"},
		"a sibling ends, too": {asItShouldBe, []witnessed{{"north", Step{Name: "north-2", To: "stopping"}}},
			"north's child north-2 is stopping"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := &driver{failures: c.heard, steps: c.steps, nameOf: map[string]string{"n1-old": "north-1", "n1-new": "north-1", "n2": "north-2"}}
			s := snapshot{
				short: map[string]string{"north-1": "n1-old", "north-2": "n2"},
				pid:   map[string]int{root: pidOfRoot, "north": pidOfNorth},
				tasks: map[taskKey]Task{},
			}
			for _, key := range []taskKey{{pidOfNorth, kindHold, "north-1"}, {pidOfNorth, kindTicks, "north-1"}, {pidOfNorth, kindCall, "north-1"},
				{pidOfNorth, kindHold, "north-2"}, {pidOfRoot, kindDeep, "north-1"}, {pidOfRoot, kindDeep, "north-2"}} {
				s.tasks[key] = Task{}
			}
			wrong := d.judge(expect().ending("north-1", classDied).withSiblings("north-1"), s)
			if got := strings.Join(wrong, "\n"); (c.want == "") != (got == "") || !strings.Contains(got, c.want) || len(wrong) > 1 {
				t.Errorf("the judge says %q, want one line with %q", got, c.want)
			}
		})
	}
}

// A strategy's victims are cancelled by their supervisor, and an actor that ends in
// order refuses what comes too late.
func TestTheJudgeOfStrategies(t *testing.T) {
	e := expect().ending("south-1", classDied).withSiblings("south-1").refusing("south-1")
	if got := slices.Sorted(maps.Keys(e.ends)); !slices.Equal(got, []string{"south-1", "south-2", "south-3"}) {
		t.Errorf("the ends are expected of %v", got)
	}
	if got := e.about(kindHold, "south-2"); !slices.Equal(got, []pattern{{classCancelled, "south"}, {classClosing, ""}}) {
		t.Errorf("those who hold south-2 may be told %v", got)
	}
	late := witness{"south", 1, Failure{Task{Kind: kindHold, Target: "south-1"}, Verdict{Class: classClosing}}}
	if !e.isRefusal(late) {
		t.Error("what came too late was not taken for it")
	}
	late.f.Peer = "s1"
	if e.isRefusal(late) {
		t.Error("a context that was open was taken for one that was refused")
	}
}
