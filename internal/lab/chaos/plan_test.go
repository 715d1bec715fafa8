//go:build linux

package main

import (
	"fmt"
	"slices"
	"testing"
)

func TestAPlanIsRepeatable(t *testing.T) {
	long := Plan(7, 2000)
	if !slices.Equal(long, Plan(7, 2000)) {
		t.Error("the same seed has given two plans")
	}
	if short := Plan(7, 100); !slices.Equal(short, long[:100]) {
		t.Error("a shorter plan is not the beginning of a longer one")
	}
	if slices.Equal(long, Plan(8, 2000)) {
		t.Error("two seeds have given the same plan")
	}
}

func TestAPlanHasEveryKindAndStrikesWhomItMay(t *testing.T) {
	kinds := map[Kind]int{}
	for _, b := range Plan(1, 2000) {
		kinds[b.Kind]++
		cliffs := parentOf(b.Target) == cliff
		if (parentOf(b.Target) == "") != (b.Target == root) || cliffs != (b.Kind == Limit) || b.Target == b.Other {
			t.Errorf("a bad blow: %v", b)
		}
	}
	for _, w := range weights {
		if kinds[w.kind] == 0 {
			t.Errorf("no blow is a %s", w.kind)
		}
	}
}

func TestTheTree(t *testing.T) {
	if len(tree) != 15 || len(below(root)) != 15 {
		t.Errorf("%d actors, %d below the root", len(tree), len(below(root)))
	}
	for name, want := range map[string][]string{
		"north-1": nil, "south-2": {"south-3"}, "south-3": {}, "east-1": {"east-2"}, "east-2": {"east-1"}, "north": nil,
	} {
		if got := condemned(name); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the end of %s ends %v, want %v", name, got, want)
		}
	}
}
