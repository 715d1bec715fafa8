package host_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// launched is a command that has this binary play an agent, called b, which says its pid first.
func launched(name string) config.Launched {
	script := `echo "pid $$"; exec env ` + roleVar + `=agent HOST_TEST_AT="$1" "$2"`
	return config.Launched{Name: name, Launch: []string{"sh", "-c", script, "sh", "{{.Address}}", self()}}
}

// pids are those that the agents have said in a log.
func pids(log *syncBuffer) (all []int) {
	for line := range strings.Lines(log.String()) {
		if _, after, ok := strings.Cut(line, `"msg":"pid `); ok {
			text, _, _ := strings.Cut(after, `"`)
			pid, err := strconv.Atoi(text)
			if err != nil {
				panic(err)
			}
			all = append(all, pid)
		}
	}
	return all
}

// D20: a root starts an agent by a command, starts it again when it is killed, and nothing of it is left with the tree.
func TestD20_ARootStartsItsAgents(t *testing.T) {
	tempdir.Use(t)
	f := inFleet(t)
	f.Agents = []config.Launched{launched("b")}
	f.Lease = time.Second
	worker := onAgent(spec(t, "worker", "good"))
	worker.Restart = config.Permanent
	var log syncBuffer
	o := host.Options{Fleet: f, Log: jsonLog(&log), Supervision: config.Supervision{MaxRestarts: 1000}} // a lease may be over on a busy machine
	err := host.OpenTree(t.Context(), o, []host.Spec{worker}, func(ctx context.Context, tree *host.Tree) error {
		p, err := tree.Portal("worker")
		if err != nil {
			return err
		}
		first, err := whoami.Call(ctx, p, none{})
		if err != nil {
			return err
		}
		log.await(t, `"msg":"pid `)
		if err := syscall.Kill(pids(&log)[0], syscall.SIGKILL); err != nil {
			return err
		}
		for again := first; again == first; {
			p, err := tree.Portal("worker")
			if err != nil {
				return err
			}
			if id, err := whoami.Call(ctx, p, none{}); err == nil {
				again = id
			} else if ctx.Err() != nil || !errors.Is(err, fault.ErrActorLost) {
				return err
			}
		}
		for len(pids(&log)) < 2 && ctx.Err() == nil {
			<-time.After(10 * time.Millisecond) // its line is logged behind
		}
		return ctx.Err()
	})
	if err != nil {
		t.Fatalf("D20: %v\n%s", err, &log)
	}
	all := pids(&log)
	if len(all) != 2 {
		t.Errorf("D20: %v were started, expected 2", all)
	}
	for _, pid := range all {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("D20: the agent %d is left: %v", pid, err)
		}
	}
	log.await(t, `"msg":"an agent is started again","agent":"b"`, "its command has ended: signal 9 (killed)")
	if strings.Contains(log.String(), "cannot be ended") {
		t.Errorf("D20: %s", &log)
	}
}

// D20: why an agent is not there is in the error of an actor that waits for one.
func TestD20_AnAgentThatDoesNotStart(t *testing.T) {
	for name, c := range map[string]struct {
		launch []string
		want   string
	}{
		"its command ends":      {[]string{"sh", "-c", "echo {{.Tree}}, {{.Name}} >&2; exit 255"}, `no agent can run it: the agent "b": its command has ended: exit code 255: census, b`},
		"there is no command":   {[]string{"/no/{{.Name}}"}, `the agent "b": cannot start /no/b: no such file or directory`},
		"it is not in the PATH": {[]string{"trellis-nowhere"}, `the agent "b": program "trellis-nowhere": exec: "trellis-nowhere": executable file not found in $PATH`},
		"it does not join":      {[]string{"cat"}, `the agent "b": its command runs, and it has not joined yet`},
	} {
		t.Run(name, func(t *testing.T) {
			tempdir.Use(t)
			f := inFleet(t)
			f.Tree, f.Agents = "census", []config.Launched{{Name: "b", Launch: c.launch}}
			for bound := 200 * time.Millisecond; ; bound *= 2 {
				worker := onAgent(spec(t, "worker", "good"))
				worker.StartTimeout = config.Duration(bound)
				err := host.OpenTree(t.Context(), host.Options{Fleet: f}, []host.Spec{worker}, func(context.Context, *host.Tree) error { return nil })
				failure, ok := errors.AsType[*host.StartError](err)
				if ok && strings.Contains(failure.Error(), c.want) {
					return
				}
				if !ok || bound > patience {
					t.Fatalf("D20: %v, want %s", err, c.want)
				}
			}
		})
	}
}

// D20: agents that cannot be started by any command are an error of the options.
func TestD20_AgentsOfNoUse(t *testing.T) {
	f := inFleet(t)
	deaf := *f
	deaf.Listen = ""
	deaf.Agents = []config.Launched{{Name: "b", Launch: []string{"x"}}}
	bad := *f
	bad.Agents = []config.Launched{{Name: "b", Launch: []string{"{{.Where}}"}}}
	for want, f := range map[string]*host.Fleet{"Agents join at the address Listen": &deaf, `the agent "b": expected a template with .Address, .Tree and .Name, got "{{.Where}}"`: &bad} {
		err := host.OpenNursery(t.Context(), host.Options{Fleet: f}, func(context.Context, *host.Nursery) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("D20: %v, want %s", err, want)
		}
	}
}

func init() {
	role("launching root", func() {
		credentials, err := fleet.LoadCredentials(os.Getenv("HOST_TEST_ROOT"))
		if err != nil {
			panic(err)
		}
		deaf := launched("deaf")
		deaf.Launch[2] = `echo "pid $$"; trap "" TERM; sleep 1000 & echo "pid $!"; while :; do wait; done`
		f := &host.Fleet{Credentials: credentials, Listen: os.Getenv("HOST_TEST_LISTEN"), Agents: []config.Launched{launched("b"), deaf}}
		var log syncBuffer
		worker := onAgent(host.Spec{Name: "worker", Command: []string{"/proc/self/exe"}, Env: map[string]string{roleVar: "good"}, StartTimeout: config.Duration(patience)})
		err = host.OpenTree(context.Background(), host.Options{Fleet: f, Log: jsonLog(&log)}, []host.Spec{worker}, func(ctx context.Context, tree *host.Tree) error {
			p, err := tree.Portal("worker")
			if err != nil {
				return err
			}
			id, err := whoami.Call(ctx, p, none{})
			if err != nil {
				return err
			}
			for ctx.Err() == nil && len(pids(&log)) < 3 {
				<-time.After(10 * time.Millisecond) // until the other command has said its two
			}
			fmt.Println(append(pids(&log), id.PID))
			<-ctx.Done()
			return context.Cause(ctx)
		})
		panic(err)
	})
}

// D20: nothing that a root has started as an agent outlives it, nor what that runs.
func TestD20_AgentsOfARootThatIsKilled(t *testing.T) {
	tempdir.Use(t)
	f := inFleet(t)
	t.Setenv("HOST_TEST_LISTEN", f.Listen)
	t.Setenv("HOST_TEST_ROOT", strings.TrimSuffix(os.Getenv("HOST_TEST_CREDENTIALS"), "b")+"a")
	root := start(t, "launching root")
	line, err := bufio.NewReader(root.out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(strings.Trim(line, "[]\n"))
	if len(fields) != 4 {
		t.Fatalf("D20: %q, expected four processes", line)
	}
	root.kill(t)
	for _, field := range fields {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		awaitGone(t, pid)
	}
}

func self() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}

// D20: a command that hears neither the end of its input nor SIGTERM is killed; at a hurried end, without more ado.
func TestD20_ADeafCommandIsKilled(t *testing.T) {
	tempdir.Use(t)
	f := inFleet(t)
	deaf := config.Launched{Name: "b", Launch: []string{"sh", "-c", `trap "" TERM; echo "pid $$"; while :; do sleep 1000; done`}}
	f.Agents = []config.Launched{deaf}
	hurry := make(chan struct{})
	var log syncBuffer
	err := host.OpenNursery(t.Context(), host.Options{Fleet: f, Hurry: hurry, Log: jsonLog(&log)}, func(context.Context, *host.Nursery) error {
		log.await(t, `"msg":"pid `)
		close(hurry)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, pid := range pids(&log) {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("D20: the command %d is left: %v", pid, err)
		}
	}
}

// D20: an agent that its root has drained ends, and is not started again; another one of its name may join.
func TestD20_ADrainedAgentIsNotStartedAgain(t *testing.T) {
	tempdir.Use(t)
	f := inFleet(t)
	f.Agents = []config.Launched{launched("b")}
	var log syncBuffer
	err := host.OpenNursery(t.Context(), host.Options{Fleet: f, Log: jsonLog(&log)}, func(ctx context.Context, n *host.Nursery) error {
		defer n.Cancel()
		worker := onAgent(spec(t, "worker", "good"))
		p, err := n.Start(ctx, worker)
		if err == nil {
			err = p.Cancel(ctx, "the agent is drained")
		}
		if err == nil {
			_, err = inspect.Order(ctx, wire.OrderRequest{Name: "b", Do: wire.OrderDrain})
		}
		if err != nil {
			return err
		}
		log.await(t, `"msg":"an agent was drained, and is not started again","agent":"b"`, "its command has ended: exit code 0")
		if !longEnough(time.Second, func(bound config.Duration) bool {
			worker.StartTimeout = bound
			_, err = n.Start(ctx, worker)
			return err != nil && strings.Contains(err.Error(), `the agent "b": it was drained, and is started again with the next root`)
		}) {
			t.Errorf("D20: %v", err)
		}
		again := start(t, "agent")
		worker.StartTimeout = config.Duration(patience)
		_, err = n.Start(ctx, worker)
		n.Cancel()
		return errors.Join(err, again.stdin.Close(), again.Wait())
	})
	if err != nil {
		t.Errorf("D20: %v\n%s", err, &log)
	}
	if all := pids(&log); len(all) != 1 {
		t.Errorf("D20: %v were started, expected one", all)
	}
}
