package host_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// A job is done by any worker, and how often each has begun is known to the test. A foreman has it done for others.
var (
	job      = contract.Func[int, string]("job")
	jobs     = contract.Source[int, string]("jobs")
	foreman  = contract.Func[int, string]("foreman")
	foremans = contract.Func[int, string]("foremans") // over jobs
)

// begun counts what workers have begun.
type begun struct {
	mu    sync.Mutex
	times map[int]int
	by    map[string]int
}

func (b *begun) note(ctx context.Context, n int) string {
	id := sdk.Self(ctx).UUID
	b.mu.Lock()
	defer b.mu.Unlock()
	b.times[n]++
	b.by[id]++
	return id
}

func (b *begun) count(n int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.times[n]
}

// workers are the programs of a tree with workers and a foreman. Each job takes a while.
func (b *begun) workers(t *testing.T) *trellistest.Programs {
	work := func(ctx context.Context, n int) (string, error) {
		id := b.note(ctx, n)
		select {
		case <-time.After(time.Duration(n%7) * time.Millisecond):
			return id, nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	return trellistest.NewPrograms(t,
		trellistest.Plugin{Name: "worker", Endpoints: []contract.Handler{job.Handle(work), jobs.Handle(func(ctx context.Context, n int) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) { yield(work(ctx, n)) }
		})}},
		trellistest.Plugin{Name: "foreman", Endpoints: []contract.Handler{
			foreman.Handle(func(ctx context.Context, n int) (string, error) {
				return job.Call(ctx, directory.Spread(ctx, "worker"), n)
			}),
			foremans.Handle(func(ctx context.Context, n int) (id string, err error) {
				for id, err = range jobs.Stream(ctx, directory.Spread(ctx, "worker"), n) {
				}
				return id, err
			}),
		}})
}

func workerSpecs(n int) []host.Spec {
	worker := plug("worker", "worker")
	worker.Replicas, worker.Restart = n, config.Permanent
	return []host.Spec{worker, plug("foreman", "foreman")}
}

// Whatever becomes of workers, and however many there are: no job begins twice; one that is done has begun once;
// and one that has failed was told to end, or had its worker die. So it is for the host and over a relay, for calls and streams.
func TestSpread_NothingBeginsTwice(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			b := &begun{times: map[int]int{}, by: map[string]int{}}
			chance := rand.New(rand.NewPCG(seed, 0))
			programs := b.workers(t)
			o := host.Options{Log: slog.New(slog.DiscardHandler), Supervision: config.Supervision{MaxRestarts: 1000}}
			err := host.OpenTree(programs.Context(), o, workerSpecs(3), func(ctx context.Context, tree *host.Tree) error {
				boss, err := tree.Portal("foreman")
				if err != nil {
					return err
				}
				spread := directory.Spread(ctx, "worker")
				var calls sync.WaitGroup
				call := func(n int) (string, error) {
					switch n % 4 {
					case 0:
						return foreman.Call(ctx, boss, n)
					case 1:
						return foremans.Call(ctx, boss, n)
					case 2:
						for id, err := range jobs.Stream(ctx, spread, n) {
							return id, err
						}
						return "", errors.New("an empty stream")
					}
					return job.Call(ctx, spread, n)
				}
				for n := range 400 {
					calls.Go(func() {
						id, err := call(n)
						switch times := b.count(n); {
						case times > 1 || err == nil && times != 1:
							t.Errorf("job %d has begun %d times: %q, %v", n, times, id, err)
						case err != nil && !fault.IsCancel(err) && !errors.Is(err, fault.ErrActorLost):
							t.Errorf("job %d: %v", n, err)
						}
					})
					if n%10 == 0 {
						if err := tree.Scale(ctx, "worker", 1+chance.IntN(5)); err != nil {
							t.Error(err)
						}
					}
					if n%25 == 24 {
						programs.Process("worker").Die(2)
					}
					time.Sleep(time.Duration(chance.IntN(2000)) * time.Microsecond)
				}
				calls.Wait()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if len(b.by) < 5 {
				t.Errorf("only %d workers had something to do", len(b.by))
			}
		})
	}
}

// All replicas get something, those that come later too; while there is none a call waits for one.
func TestSpread_FollowsScaling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &begun{times: map[int]int{}, by: map[string]int{}}
		err := host.OpenTree(b.workers(t).Context(), host.Options{Log: slog.New(slog.DiscardHandler)}, workerSpecs(2), func(ctx context.Context, tree *host.Tree) error {
			spread := directory.Spread(ctx, "worker")
			for _, n := range []int{2, 5, 3} {
				if err := tree.Scale(ctx, "worker", n); err != nil {
					return err
				}
				clear(b.by)
				for i := range 10 * n {
					if _, err := job.Call(ctx, spread, i); err != nil {
						return err
					}
				}
				for id, times := range b.by {
					if times != 10 || len(b.by) != n {
						t.Errorf("%s was called %d times, want 10, as all %d of %d", id, times, n, len(b.by))
					}
				}
			}
			key := directory.ByKey(ctx, "worker", "some key")
			first, err := job.Call(ctx, key, 1)
			for range 10 {
				again, other := job.Call(ctx, key, 1)
				if again != first || other != nil {
					t.Errorf("a key is with %s, and with %s, %v", first, again, other)
				}
			}
			if err := errors.Join(err, tree.Scale(ctx, "worker", 0)); err != nil {
				return err
			}
			if _, err := job.Call(ctx, spread, 1); !errors.Is(err, directory.ErrNotFound) {
				t.Errorf("without workers: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// Contexts count for as long as they are open, those of a group and those whose body panics too.
func TestSpread_CountsWhatIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		where := map[string]int{}
		worker := plug("worker", "good")
		worker.Replicas = 3
		programs := trellistest.NewPrograms(t, trellistest.Plugin{Name: "good", Endpoints: goodEndpoints()})
		err := host.OpenTree(programs.Context(), host.Options{Log: slog.New(slog.DiscardHandler)}, []host.Spec{worker}, func(ctx context.Context, _ *host.Tree) error {
			spread := directory.Spread(ctx, "worker")
			type opener = contract.Opener[none, none, none, none]
			func() {
				defer func() {
					if recover() == nil {
						t.Error("the panic of the body is lost")
					}
				}()
				_, err := forever.Open(ctx, spread, none{}, func(context.Context, *opener) error { panic("as asked") })
				t.Error(err)
			}()
			return contract.OpenGroup(ctx, func(_ context.Context, g *contract.Group) error {
				var mu sync.Mutex
				for range 9 {
					err := forever.OpenIn(g, spread, none{}, func(_ context.Context, c *opener) error {
						mu.Lock()
						where[c.Peer().UUID]++
						mu.Unlock()
						return c.Hibernate(context.Cause)
					}, nil)
					if err != nil {
						return err
					}
				}
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				if text := fmt.Sprint(where); len(where) != 3 || strings.Count(text, ":3") != 3 {
					t.Errorf("9 contexts are with %v, want 3 with each", text)
				}
				g.Cancel()
				return nil
			})
		})
		if err != nil {
			t.Error(err)
		}
	})
}
