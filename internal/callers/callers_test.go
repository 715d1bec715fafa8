package callers_test

import (
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/callers"
)

// The callee of this table is census/parser, in a tree with census/parser#2 and census/walker beside it,
// which host leaves, with census/parser/leaf/sub below it, and with other beside its host.
func TestD06_WhoMayCall(t *testing.T) {
	const callee = "census/parser"
	for _, c := range []struct {
		path    string
		admits  string // the words that admit it, each alone
		allowed bool   // without a rule
	}{
		{"", "*", true},
		{"census", "*", true},
		{"census/parser/leaf", "children tree leaf census/parser/leaf", true},
		{"census/parser/leaf/sub", "children tree", true},
		{"census/parser", "tree parser census/parser census/parser#1", false}, // itself, through its hosts
		{"census/parser#2", "siblings tree parser census/parser#2", true},
		{"census/parser#2/leaf", "siblings tree", true},
		{"census/walker", "siblings tree walker census/walker", true},
		{"census/walker/leaf", "siblings tree", true},
		{"other", "tree other", false},
		{"other/walker", "tree other/walker", false},
		{"censusparser", "tree censusparser", false},
		{"joined", "tree", false}, // a word is not a name
	} {
		caller := callers.Caller{Path: c.path}
		if got := callers.Refusal(caller, callee, "count", nil, nil) == ""; got != c.allowed {
			t.Errorf("D06: %q calls %s without a rule: %v; want %v", c.path, callee, got, c.allowed)
		}
		for _, word := range []string{
			"parent", "children", "siblings", "tree", "joined", "leaf", "sub", "parser", "walker", "other", "censusparser", "nobody",
			"census/parser/leaf", "census/parser", "census/parser#1", "census/parser#2", "census/walker", "other/walker",
		} {
			want := c.admits == "*" || strings.Contains(" "+c.admits+" ", " "+word+" ")
			for what, err := range map[string]string{
				"an endpoint's": callers.Refusal(caller, callee, "count", callers.Rule{"nobody", word}, nil),
				"an actor's":    callers.Refusal(caller, callee, "count", nil, callers.Rule{word}),
				"both":          callers.Refusal(caller, callee, "count", callers.Rule{word}, callers.Rule{"tree"}),
			} {
				if got := err == ""; got != want {
					t.Errorf("D06: %q calls %s, and %s rule has %s: %q; want %v", c.path, callee, what, word, err, want)
				}
			}
		}
		joined := callers.Caller{Path: c.path, Joined: true}
		for word, want := range map[string]bool{"parent": false, "children": false, "siblings": false, "tree": false, "leaf": false, "walker": false, "joined": true} {
			if got := callers.Refusal(joined, callee, "count", callers.Rule{word}, nil) == ""; got != want {
				t.Errorf("D06: %q, which has joined, calls %s, whose rule has %s: %v; want %v", c.path, callee, word, got, want)
			}
		}
		if callers.Refusal(joined, callee, "count", nil, nil) == "" {
			t.Errorf("D06: %q, which has joined, calls %s without a rule", c.path, callee)
		}
	}
}

// Of two rules, both must admit a caller.
func TestD06_BothRulesMustAdmit(t *testing.T) {
	walker := callers.Caller{Path: "census/walker"}
	if callers.Refusal(walker, "census/parser", "count", callers.Rule{"tree"}, callers.Rule{"parent"}) == "" {
		t.Error("D06: the config forbids it")
	}
	if callers.Refusal(walker, "census/parser", "count", callers.Rule{"parent"}, callers.Rule{"tree"}) == "" {
		t.Error("D06: the author forbids it")
	}
}

func TestD06_RefusalsSayTheRule(t *testing.T) {
	for want, got := range map[string]string{
		`"other" may not call "count" of "census/parser": the callers of that actor are parent, children, siblings; tree or "other" would admit it`:  callers.Refusal(callers.Caller{Path: "other"}, "census/parser", "count", nil, nil),
		`"census/walker" may not call "count" of "census/parser": the callers of that endpoint are parent; siblings would admit it`:                  callers.Refusal(callers.Caller{Path: "census/walker"}, "census/parser", "count", callers.Rule{"parent"}, nil),
		`"cli", which has joined, may not call "count" of "census": the callers of that actor are parent, children, siblings; joined would admit it`: callers.Refusal(callers.Caller{Path: "cli", Joined: true}, "census", "count", nil, nil),
	} {
		if got != want {
			t.Errorf("D06: %s\nwant\n%s", got, want)
		}
	}
}

func TestD06_ARuleIsChecked(t *testing.T) {
	for want, rule := range map[string]callers.Rule{
		"":                         {"parent", "joined", "walker", "census/parser#2"},
		"got nobody; write parent": {},
		`got "every body"`:         {"every body"},
		`or the name or path of an actor, got ""`: {""},
		`got "/census"`:         {"/census"},
		`"tree" is there twice`: {"tree", "parent", "tree"},
	} {
		err := rule.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v; want %q", rule, err, want)
		}
	}
	if err := callers.Rule(nil).Validate(); err != nil {
		t.Error(err)
	}
}
