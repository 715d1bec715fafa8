package host_test

import (
	"context"
	"errors"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
)

// F09: what a Spec says and a start cannot do is refused before there is a process, from
// Go as from a file (U2).
func TestF09_SpecsThatCannotBeStarted(t *testing.T) {
	changed := func(change func(s *host.Spec)) host.Spec {
		s := host.Spec{Name: "a", Command: []string{"/nowhere"}}
		change(&s)
		return s
	}
	deep := host.Spec{Name: "b", Package: "./b"}
	cases := map[string]host.Spec{
		`restart: expected temporary, transient or permanent, got "sometimes"`:                         changed(func(s *host.Spec) { s.Restart = "sometimes" }),
		`restart: expected temporary, transient or permanent, got "always"; did you mean "permanent"?`: changed(func(s *host.Spec) { s.Restart = "always" }),
		`name: expected a name of 1 to 63 letters a-z, digits, - and _, got "A b"`:                     changed(func(s *host.Spec) { s.Name = "A b" }),
		`name: expected a name, there is none`:                                                         changed(func(s *host.Spec) { s.Name = "" }),
		`replicas: expected one process, got 3; start each by itself, or all with OpenTree`:            changed(func(s *host.Spec) { s.Replicas = 3 }),
		`replicas: expected a whole number above zero, got -1`:                                         changed(func(s *host.Spec) { s.Replicas = -1 }),
		`depends_on: an actor that is started by itself cannot depend on others; start those that it needs before it, or all with OpenTree`: changed(func(s *host.Spec) {
			s.DependsOn = map[string]config.Condition{"nobody": config.Started}
		}),
		`a.package: "./a" must be built first (host.Build)`:                               changed(func(s *host.Spec) { s.Command, s.Package = nil, "./a" }),
		`a.actors.b.package: "./b" must be built first (host.Build)`:                      changed(func(s *host.Spec) { s.Actors = []host.Spec{deep} }),
		`expected either package or command, there are both`:                              changed(func(s *host.Spec) { s.Package = "./a" }),
		`grace: expected a duration above zero, got -1ns`:                                 changed(func(s *host.Spec) { s.Grace = -1 }),
		`limits.memory: expected at least 16MiB, which a plugin needs to come up, got 1B`: changed(func(s *host.Spec) { s.Limits.Memory = 1 }),
		`while_down: expected wait or fail, got "x"`:                                      changed(func(s *host.Spec) { s.WhileDown = "x" }),
		`while_down: an actor with restart: temporary, the default, is never restarted; write restart: transient or permanent, or remove this`: changed(func(s *host.Spec) {
			s.WhileDown = config.FailWhileDown
		}),
		`supervision: expected actors that this one supervises, it has none; supervision stands where the actors are listed`: changed(func(s *host.Spec) {
			s.Supervision.MaxRestarts = 1
		}),
		`env.A=B: expected the name of a variable, without =, got "A=B"`: changed(func(s *host.Spec) { s.Env = map[string]string{"A=B": "c"} }),
		`actors.b.name: an actor beside it has the same name; rename one, or use replicas`: changed(func(s *host.Spec) {
			b := host.Spec{Name: "b", Command: []string{"x"}}
			s.Actors = []host.Spec{b, b}
		}),
		`goplugin.versions: expected the protocol versions that you speak, such as [1], there are none`: changed(func(s *host.Spec) {
			s.GoPlugin = &config.GoPlugin{Cookie: map[string]string{"K": "v"}}
		}),
	}
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		for want, spec := range cases {
			_, err := n.Start(ctx, spec)
			checkSpecError(t, err, spec.Name, want)
		}
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func checkSpecError(t *testing.T, err error, name, want string) {
	t.Helper()
	start, ok := errors.AsType[*host.StartError](err)
	if !ok || start.Stage != "spec" || start.Actor != name || start.Err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// A one-shot and a foreign program are checked like all others.
func TestF09_EveryWayToStartChecksItsSpec(t *testing.T) {
	const sometimes = `restart: expected temporary, transient or permanent, got "sometimes"`
	bad := host.Spec{Name: "a", Command: []string{"/nowhere"}, Restart: "sometimes"}
	_, err := open(t, host.Options{Supervision: config.Supervision{Strategy: config.OneForOne}}, func(ctx context.Context, n *host.Nursery) error {
		_, err := host.Run(n, bad, echo, "x").Wait(ctx)
		checkSpecError(t, err, "a", sometimes)
		again := host.Spec{Name: "a", Command: []string{"/nowhere"}, Restart: config.Permanent}
		_, err = host.Run(n, again, echo, "x").Wait(ctx)
		checkSpecError(t, err, "a", `restart: expected temporary, got "permanent"; Run never restarts`)
		foreign := bad
		foreign.GoPlugin = &config.GoPlugin{Cookie: map[string]string{"K": "v"}, Versions: []int{1}}
		_, err = n.Start(ctx, foreign)
		checkSpecError(t, err, "a", sometimes)
		n.Cancel()
		return nil
	})
	if _, told := errors.AsType[*host.StartError](err); !told {
		t.Errorf("the nursery does not tell of its one-shots: %v", err)
	}
	for want, open := range map[string]func() error{
		"actors.a." + sometimes:                              func() error { return openTree(t, host.Options{}, bad) },
		"actors: expected at least one actor, there is none": func() error { return openTree(t, host.Options{}) },
		"supervision.strategy: expected one_cancels_all, one_for_one, one_for_all or rest_for_one, got \"all\"": func() error {
			return host.OpenNursery(t.Context(), host.Options{Supervision: config.Supervision{Strategy: "all"}}, func(context.Context, *host.Nursery) error {
				t.Error("its body ran")
				return nil
			})
		},
		"actors.a.depends_on.b: expected actors beside this one (there are none), got \"b\"": func() error {
			return openTree(t, host.Options{}, host.Spec{Name: "a", Command: []string{"x"}, DependsOn: map[string]config.Condition{"b": config.Started}})
		},
		"actors.a.package: \"./a\" must be built first (host.Build)": func() error {
			return openTree(t, host.Options{}, host.Spec{Name: "a", Package: "./a"})
		},
	} {
		if err := open(); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func openTree(t *testing.T, o host.Options, actors ...host.Spec) error {
	return host.OpenTree(t.Context(), o, actors, func(context.Context, *host.Tree) error {
		t.Error("its body ran")
		return nil
	})
}

// The name of a foreign program is one of its own in its nursery; actors are told apart
// by their identities.
func TestF09_NameOfAForeignProgram(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		if _, err := n.Start(ctx, foreign(t, "foreign")); err != nil {
			return err
		}
		const want = "name: an actor of this nursery has it already, and one of the two is a foreign program; rename one"
		_, err := n.Start(ctx, foreign(t, "foreign"))
		checkSpecError(t, err, "shop", want)
		_, err = n.Start(ctx, spec(t, "shop", "good"))
		checkSpecError(t, err, "shop", want)
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
