package host_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

var (
	secret = contract.Func[none, string]("secret")
	tries  = contract.Func[int, string]("tries")
)

// tryOften calls its host's secret so many times, and gives what it got last.
func tryOften(ctx context.Context, times int) (got string, err error) {
	for range times {
		got, err = secret.Call(ctx, sdk.Parent(ctx), none{})
	}
	return got, err
}

// D06: an endpoint takes calls from those whom its author names. A refusal says the rule, and is told
// as an event, of many only one in a second.
func TestD06_AHostIsCalledByThoseWhoMay(t *testing.T) {
	for who, want := range map[string]string{
		"":         "",
		"children": "",
		"spy":      "",
		"siblings": `"spy" may not call "secret" of "": the callers of that endpoint are siblings; children would admit it`,
	} {
		synctest.Test(t, func(t *testing.T) {
			served := secret.Handle(func(context.Context, none) (string, error) { return "42", nil })
			if who != "" {
				served = served.Callers(who)
			}
			programs := trellistest.NewPrograms(t, trellistest.Plugin{Name: "spy", Endpoints: []contract.Handler{tries.Handle(tryOften)}})
			o := host.Options{Log: slog.New(slog.DiscardHandler), Endpoints: []contract.Handler{served}}
			err := host.OpenNursery(programs.Context(), o, func(ctx context.Context, n *host.Nursery) error {
				spy, err := n.Start(ctx, plug("spy", "spy"))
				if err != nil {
					return err
				}
				for range 2 {
					got, err := tries.Call(ctx, spy, 5)
					if (err == nil) != (want == "") || err == nil && got != "42" || err != nil && (!errors.Is(err, fault.ErrNotAllowed) || !strings.Contains(err.Error(), want)) {
						t.Errorf("D06: %q may call; got %q, %v; want %q", who, got, err, want)
					}
					time.Sleep(time.Second)
				}
				return spy.Cancel(ctx, "done")
			})
			if err != nil {
				t.Error(err)
			}
			var told []string
			for _, e := range programs.Events() {
				if e.Refused != "" {
					told = append(told, fmt.Sprintf("%s %s %s: %s", e.Path, e.To, e.Refused, e.Reason))
				}
			}
			if want == "" && len(told) > 0 || want != "" && !slices.Equal(told, []string{
				"spy ready spy: " + want, "spy ready spy: " + want + "; 4 more calls were refused before this one",
			}) {
				t.Errorf("D06: the refusals are told as\n%s", strings.Join(told, "\n"))
			}
		})
	}
}

// D06: who may call is checked where it is said.
func TestD06_CallersAreCheckedWhereTheyAreSaid(t *testing.T) {
	served := secret.Handle(func(context.Context, none) (string, error) { return "", nil }).Callers("every body")
	err := host.OpenNursery(t.Context(), host.Options{Endpoints: []contract.Handler{served}}, func(context.Context, *host.Nursery) error { return nil })
	if want := `endpoint "secret": Callers: expected parent, children, siblings, tree or joined, or the name or path of an actor, got "every body"`; err == nil || err.Error() != want {
		t.Errorf("%v; want %s", err, want)
	}
	s := plug("x", "good")
	s.Callers = []string{"tree", "tree"}
	_, err = open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		_, err := n.Start(ctx, s)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), `callers: "tree" is there twice`) {
		t.Errorf("%v", err)
	}
}

var ask = contract.Func[string, string]("ask")

// askOther finds another actor, and calls it.
func askOther(ctx context.Context, name string) (string, error) {
	other, err := directory.WaitFor(ctx, name)
	if err != nil {
		return "", err
	}
	return echo.Call(ctx, other, sdk.Self(ctx).Name)
}

// D02: D06: any actor calls any other that it found and may call, however far away that is. The host of
// the one that is called says who may, and tells of those who may not.
func TestD06_WhoCallsWhomInATree(t *testing.T) {
	const deflt = "the callers of that actor are parent, children, siblings; tree or \"%s\" would admit it"
	const vault = "the callers of that actor are parent, middle/lower/leaf; %s would admit it"
	for _, c := range []struct{ caller, callee, refused string }{
		{"leaf", "walker", ""}, // below one that is beside it
		{"walker", "middle", ""},
		{"leaf", "middle", ""}, // its host's host
		{"leaf", "lower", ""},
		{"lower", "parser", ""},
		{"middle", "leaf", ""},
		{"middle", "walker", ""},
		{"leaf", "vault", ""}, // whose config has its path
		{"walker", "leaf", fmt.Sprintf(deflt, "walker")},
		{"lower", "vault", fmt.Sprintf(vault, "siblings")},
		{"walker", "vault", fmt.Sprintf(vault, "siblings")},
	} {
		synctest.Test(t, func(t *testing.T) {
			actors := append(threeLevels(), plug("vault", "good"))
			actors[len(actors)-1].Callers = []string{"parent", "middle/lower/leaf"}
			told, err := branches(t, actors, func(ctx context.Context, _ *trellistest.Programs) error {
				caller, err := directory.WaitFor(ctx, c.caller)
				if err != nil {
					return err
				}
				got, err := ask.Call(ctx, caller, c.callee)
				if c.refused == "" && (got != c.caller || err != nil) || c.refused != "" && (!errors.Is(err, fault.ErrNotAllowed) || !strings.Contains(err.Error(), c.refused)) {
					t.Errorf("D06: %s calls %s: %q, %v; want %q", c.caller, c.callee, got, err, c.refused)
				}
				synctest.Wait()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			refused := 0
			for _, e := range told {
				if e.Refused != "" {
					refused++
					if e.Actor.Name != c.callee || !strings.HasSuffix(e.Refused, c.caller) || !strings.Contains(e.Reason, c.refused) {
						t.Errorf("D06: a refusal is told as %s, %q, %v", e.Path, e.Refused, e)
					}
				}
			}
			if (refused == 1) != (c.refused != "") {
				t.Errorf("D06: %s calls %s, and %d refusals are told", c.caller, c.callee, refused)
			}
		})
	}
}
