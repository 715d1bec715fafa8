//go:build lab

package host_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// spending is what a host has, at some moment.
type spending struct{ heap, goroutines, descriptors int }

func (s spending) String() string {
	return fmt.Sprintf("%d MiB, %d goroutines, %d descriptors", s.heap>>20, s.goroutines, s.descriptors)
}

func spends() spending {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	fds, _ := os.ReadDir("/proc/self/fd")
	return spending{int(sample[0].Value.Uint64()), runtime.NumGoroutine(), len(fds)}
}

func (s spending) most(o spending) spending {
	return spending{max(s.heap, o.heap), max(s.goroutines, o.goroutines), max(s.descriptors, o.descriptors)}
}

func (s spending) minus(o spending) spending {
	return spending{s.heap - o.heap, s.goroutines - o.goroutines, s.descriptors - o.descriptors}
}

// watch returns the most that this process spends until stop, beyond what it had.
func watch() (stop func() spending) {
	runtime.GC()
	before, peak := spends(), spending{}
	end := make(chan struct{})
	watching := task.Start(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			peak = peak.most(spends().minus(before))
			select {
			case <-tick.C:
			case <-end:
				return
			}
		}
	})
	return func() spending { close(end); watching.Wait(); return peak }
}

// attacks are rows of docs/bounds.md: what a hostile plugin does, how often, and what that
// may cost its host at most, with what the test itself needs. The heap counts garbage, of
// which there is about as much again as of what is in use.
var attacks = []struct {
	name  string
	quick int // times, in the README's test command
	full  int // with HOSTILE=full
	most  spending
}{
	{"boot answer", 1, 1, spending{64 << 20, 100, 30}},
	{"health answer", 1, 1, spending{64 << 20, 100, 30}},
	{"broker", 20_000, 200_000, spending{64 << 20, 700, 30}},
	{"callers", 300, 3_000, spending{64 << 20, 100, 40}},
	{"dialogs", 10_000, 100_000, spending{256 << 20, 4_096 + 200, 30}},
	{"arguments", 200, 700, spending{384 << 20, 300, 30}},
	{"answers", 200, 4_000, spending{1024 << 20, 4_096 + 200, 30}},
	{"few answers", 200, 4_000, spending{384 << 20, 4_096 + 200, 30}},
	{"numbers", 10, 100, spending{128 << 20, 300, 30}},
	{"metadata", 100, 500, spending{384 << 20, 300, 30}},
	{"errors", 50, 500, spending{1024 << 20, 300, 30}},
	{"streams", 200, 4_000, spending{1024 << 20, 4_096 + 200, 30}},
	{"garbage", 100, 100, spending{128 << 20, 100, 30}},
	{"stderr", 16, 256, spending{64 << 20, 100, 30}},
	{"relayed dialogs", 10_000, 100_000, spending{256 << 20, 200, 30}},
	{"relayed messages", 50, 500, spending{512 << 20, 200, 30}},
	{"relayed openers", 5_000, 50_000, spending{512 << 20, 200, 30}},
}

// hostEndpoints are what the host serves to its children, hostile ones too.
func hostEndpoints() []contract.Handler {
	sit := contract.Func[any, struct{}]("sit")
	big := contract.Func[string, []byte]("big")
	few := contract.Func[string, []byte]("few")
	value := make([]byte, 1<<20) // one for all: what handlers allocate is theirs, and no part of what is judged
	answer := func(context.Context, string) ([]byte, error) { return value, nil }
	deaf := contract.Context[any, struct{}, []byte, struct{}, struct{}]("deaf")
	return []contract.Handler{
		deaf.Handle(func(ctx context.Context, _ any, c *contract.Callee[struct{}, []byte, struct{}]) (struct{}, error) {
			if err := c.Started(struct{}{}); err != nil {
				return struct{}{}, err
			}
			_, err := c.Stream(contract.StreamOptions{})
			if err == nil {
				<-ctx.Done()
			}
			return struct{}{}, err
		}),
		sit.Handle(func(ctx context.Context, _ any) (struct{}, error) { <-ctx.Done(); return struct{}{}, ctx.Err() }),
		big.Handle(answer),
		few.Handle(answer).Concurrent(8),
	}
}

// F06, X2, X3, X4, X6, X16, R6: whatever a plugin sends, its host spends no more than the
// table in docs/bounds.md says, and the neighbour goes on. Its latency is reported and not
// judged: it depends on the machine.
func TestF06_HostileProgramsCostTheirHostLittle(t *testing.T) {
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			times := a.quick
			if os.Getenv("HOSTILE") == "full" {
				times = a.full
			}
			_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
				neighbour, err := n.Start(ctx, spec(t, "neighbour", "good"))
				if err != nil {
					return err
				}
				calm := p99(ctx, t, neighbour, 200, nil)
				over := make(chan struct{})
				stop := watch()
				attacking := task.Start(func() { defer close(over); attack(t, a.name, times) })
				meanwhile := p99(ctx, t, neighbour, 1<<30, over)
				attacking.Wait()
				peak := stop()
				t.Logf("%d times: at most %v; the neighbour's p99 went from %v to %v", times, peak, calm, meanwhile)
				if peak.heap > a.most.heap || peak.goroutines > a.most.goroutines || peak.descriptors > a.most.descriptors {
					t.Errorf("it cost %v, at most %v were to be", peak, a.most)
				}
				return neighbour.Cancel(ctx, "done")
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// attack runs a hostile plugin in a nursery of its own, until it is dead. Beside it is the victim of what
// it sends to others, which the host goes on to call.
func attack(t *testing.T, name string, times int) {
	s := spec(t, "hostile", "hostile")
	s.Env[attackVar], s.Env[timesVar] = name, fmt.Sprint(times)
	s.Health = config.Health{Interval: config.Duration(100 * time.Millisecond), Timeout: config.Duration(10 * time.Second), Failures: 1}
	quiet := slog.New(slog.DiscardHandler) // a log in memory would be what grows
	err := host.OpenNursery(t.Context(), host.Options{Endpoints: hostEndpoints(), Log: quiet}, func(ctx context.Context, n *host.Nursery) error {
		callee := spec(t, victim, "good")
		callee.Callers = []string{"tree"}
		beside, err := n.Start(ctx, callee)
		if err != nil {
			return err
		}
		calm := p99(ctx, t, beside, 200, nil)
		p, err := n.Start(ctx, s)
		if err == nil {
			t.Logf("the victim's p99 went from %v to %v", calm, p99(ctx, t, beside, 1<<30, p.Done()))
		}
		return err
	})
	if err == nil {
		t.Error("the hostile plugin ended well")
	}
	t.Logf("its end: %.300v", err)
}

// p99 calls a plugin so often, or every few milliseconds until over is closed: without a
// pause it would be what keeps the processors busy. It ends when ctx does.
func p99(ctx context.Context, t *testing.T, p *host.Portal, times int, over <-chan struct{}) time.Duration {
	var took []time.Duration
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for range times {
		began := time.Now()
		if _, err := echo.Call(ctx, p, "hello"); ctx.Err() != nil {
			break
		} else if err != nil {
			t.Errorf("%v: %v", p.ID(), err)
			break
		}
		took = append(took, time.Since(began))
		if over == nil {
			continue
		}
		<-tick.C
		if isOver(over) {
			break
		}
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

func isOver(over <-chan struct{}) bool {
	select {
	case <-over:
		return true
	default:
		return false
	}
}
