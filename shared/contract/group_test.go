package contract_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// echoes sends each message back, and has no goroutine in between. Its result is their sum.
var echoes = contract.Context[int, int, int, int, int]("echoes").With(contract.ContextOptions{Reading: true})

type (
	echoesCallee = contract.Callee[int, int, int]
	echoesOpener = contract.Opener[int, int, int, int]
)

var (
	errSeven = errors.New("seven is one too many")
	errLost  = errors.New("the link is lost")
)

// opens is for an OpenIn that opens a context.
func opens(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("OpenIn: %v", err)
	}
}

// echoing serves echoes, and counts those that have ended.
func echoing(ended *atomic.Int32) contract.Handler {
	return echoes.Handle(func(_ context.Context, first int, c *echoesCallee) (int, error) {
		if err := c.Started(first); err != nil {
			return 0, err
		}
		s, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return 0, err
		}
		sum := 0
		var next func(ctx context.Context) (int, error)
		next = func(ctx context.Context) (int, error) {
			m, err := s.Recv(ctx)
			switch {
			case err == io.EOF: //nolint:errorlint // as Recv gives it
				ended.Add(1)
				return sum, nil
			case err != nil:
				ended.Add(1)
				return 0, err
			case m == 7:
				ended.Add(1)
				return 0, errSeven
			}
			sum += m
			if err := s.Send(ctx, m); err != nil {
				ended.Add(1)
				return 0, err
			}
			return contract.Hibernate(next)
		}
		return contract.Hibernate(next)
	})
}

// A thousand contexts that hibernate need no goroutine, end with their group, and none is left.
func TestC15_ContextsThatHibernateEndWithTheirGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var callees, bodies atomic.Int32
		p := pair.Serve(t, echoing(&callees))
		const n = 1000
		before := runtime.NumGoroutine()
		stop := errors.New("enough")
		err := contract.OpenGroup(t.Context(), func(_ context.Context, g *contract.Group) error {
			for i := range n {
				opens(t, echoes.OpenIn(g, p, i, func(_ context.Context, c *echoesOpener) error {
					return c.Hibernate(func(ctx context.Context) error {
						bodies.Add(1)
						return context.Cause(ctx)
					})
				}, nil))
			}
			synctest.Wait()
			if more := runtime.NumGoroutine() - before; more > n/100 { // not all are the test's
				t.Errorf("%d goroutines for %d contexts that hibernate", more, n)
			}
			return stop
		})
		if !errors.Is(err, stop) || errors.Is(err, context.Canceled) {
			t.Errorf("the group: %v", err)
		}
		if callees.Load() != n || bodies.Load() != n {
			t.Errorf("%d callees and %d bodies were told, want %d of each", callees.Load(), bodies.Load(), n)
		}
	})
}

// Either side goes on with a message. The callee's failure is told to the opener, and is the group's.
func TestP01_MessagesAndFailuresAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var callees atomic.Int32
		p := pair.Serve(t, echoing(&callees))
		var got []int
		err := contract.OpenGroup(t.Context(), func(_ context.Context, g *contract.Group) error {
			opens(t, echoes.OpenIn(g, p, 1, func(ctx context.Context, c *echoesOpener) error {
				s, err := c.Stream(contract.StreamOptions{})
				if err != nil {
					return err
				}
				var next func(ctx context.Context) error
				next = func(ctx context.Context) error {
					m, err := s.Recv(ctx)
					if err != nil {
						return err
					}
					got = append(got, m)
					if err := s.Send(ctx, m+1); err != nil {
						return err
					}
					return c.Hibernate(next)
				}
				if err := s.Send(ctx, c.Value()); err != nil {
					return err
				}
				return c.Hibernate(next)
			}, nil))
			return nil
		})
		var remote *fault.RemoteError
		if !errors.As(err, &remote) || len(got) != 6 || callees.Load() != 1 {
			t.Errorf("got %v, then %v", got, err)
		}
	})
}

// The end of the link is told to both sides.
func TestN05_ALostLinkIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var callees atomic.Int32
		p, err := pair.Start(echoing(&callees))
		if err != nil {
			t.Fatal(err)
		}
		err = contract.OpenGroup(t.Context(), func(_ context.Context, g *contract.Group) error {
			opens(t, echoes.OpenIn(g, p, 1, func(_ context.Context, c *echoesOpener) error {
				return c.Hibernate(context.Cause)
			}, nil))
			synctest.Wait()
			p.Dialogs.Link().Close(nil)
			<-p.Dialogs.Link().Done()
			p.Dialogs.Lose(errLost)
			return nil
		})
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if !errors.Is(err, errLost) || callees.Load() != 1 {
			t.Errorf("the group: %v; %d callees were told", err, callees.Load())
		}
	})
}

// Goexit in what comes after a hibernation is a failure as any other.
func TestP10_GoexitAfterAHibernation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var callees atomic.Int32
		p := pair.Serve(t, echoing(&callees))
		err := contract.OpenGroup(t.Context(), func(_ context.Context, g *contract.Group) error {
			opens(t, echoes.OpenIn(g, p, 1, func(ctx context.Context, c *echoesOpener) error {
				s, err := c.Stream(contract.StreamOptions{})
				if err != nil {
					return err
				}
				if err := s.Send(ctx, 1); err != nil {
					return err
				}
				return c.Hibernate(func(context.Context) error {
					runtime.Goexit()
					return io.EOF
				})
			}, nil))
			return nil
		})
		if !errors.Is(err, fault.ErrGoexit) || callees.Load() != 1 {
			t.Errorf("the group: %v; %d callees were told", err, callees.Load())
		}
	})
}

// Results come to ended, whose error alone is the group's. A Concurrent endpoint takes the next
// when one has ended, and what the peer has said last is told after its last message.
func TestC06_ResultsOfAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var callees atomic.Int32
		p := pair.Serve(t, echoing(&callees).Concurrent(1))
		var mu sync.Mutex
		var sums []int
		var told atomic.Int32
		err := contract.OpenGroup(t.Context(), func(_ context.Context, g *contract.Group) error {
			for i := range 3 {
				opens(t, echoes.OpenIn(g, p, i, func(ctx context.Context, c *echoesOpener) error {
					s, err := c.Stream(contract.StreamOptions{})
					if err != nil {
						return err
					}
					for m := range i + 1 {
						if err := s.Send(ctx, 10+m); err != nil {
							return err
						}
					}
					s.CloseSend()
					var next func(ctx context.Context) error
					next = func(ctx context.Context) error {
						told.Add(1)
						if _, err := s.Recv(ctx); err == io.EOF { //nolint:errorlint // as Recv gives it
							return nil
						} else if err != nil {
							return err
						}
						return c.Hibernate(next) // there may be more at once
					}
					return c.Hibernate(next)
				}, func(sum int, err error) error {
					mu.Lock()
					defer mu.Unlock()
					sums = append(sums, sum)
					return err
				}))
			}
			return nil
		})
		if err != nil || len(sums) != 3 || sums[0]+sums[1]+sums[2] != 10+21+33 || callees.Load() != 3 {
			t.Errorf("got %v, %v, with %d callees", sums, err, callees.Load())
		}
		if n := told.Load(); n > 2*(1+2+3) {
			t.Errorf("the bodies went on %d times for 6 messages", n)
		}
	})
}

// Cancel ends the contexts of a group, and is not a failure. A group that has ended opens nothing.
func TestC11_CancelOfAGroupIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var callees atomic.Int32
		p := pair.Serve(t, echoing(&callees))
		var ended *contract.Group
		err := contract.OpenGroup(t.Context(), func(_ context.Context, g *contract.Group) error {
			ended = g
			for i := range 3 {
				opens(t, echoes.OpenIn(g, p, i, func(_ context.Context, c *echoesOpener) error { return c.Hibernate(context.Cause) }, nil))
			}
			synctest.Wait()
			g.Cancel()
			return nil
		})
		if err != nil || callees.Load() != 3 {
			t.Errorf("got %v, and %d callees were told", err, callees.Load())
		}
		if echoes.OpenIn(ended, p, 1, nil, nil) == nil {
			t.Error("a group that has ended opened a context")
		}
	})
}

// A panic after a hibernation goes on as a panic where the group was opened, once the others have ended.
func TestP10_APanicGoesOnWhereTheGroupWasOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var callees atomic.Int32
		p := pair.Serve(t, echoing(&callees))
		defer func() {
			panicked, ok := recover().(*fault.PanicError)
			if !ok || panicked.Value != "no more" || callees.Load() != 2 {
				t.Errorf("got %v, and %d callees were told", panicked, callees.Load())
			}
		}()
		_ = contract.OpenGroup(t.Context(), func(_ context.Context, g *contract.Group) error {
			opens(t, echoes.OpenIn(g, p, 1, func(_ context.Context, c *echoesOpener) error { return c.Hibernate(context.Cause) }, nil))
			synctest.Wait()
			opens(t, echoes.OpenIn(g, p, 2, func(ctx context.Context, c *echoesOpener) error {
				s, err := c.Stream(contract.StreamOptions{})
				if err != nil {
					return err
				}
				return errors.Join(s.Send(ctx, 1), c.Hibernate(nil)) // never as it is
			}, func(_ int, err error) error {
				if err == nil {
					t.Error("a hibernation that is not returned as it is has had no error")
				}
				panic("no more")
			}))
			return nil
		})
		t.Error("OpenGroup returned")
	})
}

// Where nothing can go on later, Hibernate is an error that says so.
func TestHibernateElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var callees atomic.Int32
		never := contract.Func[int, int]("never")
		p := pair.Serve(t, echoing(&callees), never.Handle(func(context.Context, int) (int, error) {
			return contract.Hibernate(func(context.Context) (int, error) { return 1, nil })
		}))
		const want = "Hibernate is for handlers of contexts"
		if _, err := never.Call(t.Context(), p, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a Func: %v", err)
		}
		_, err := echoes.Open(t.Context(), p, 1, func(_ context.Context, c *echoesOpener) error { return c.Hibernate(context.Cause) })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("an Open: %v", err)
		}
	})
}

// asked is an author's context, each Value of which is for the author to answer.
type asked struct {
	context.Context

	look atomic.Pointer[func()]
}

func (c *asked) Value(key any) any {
	if look := c.look.Load(); look != nil {
		(*look)()
	}
	return c.Context.Value(key)
}

// N19: the methods of a ctx that an author has made may not return while the group is cancelled with a
// failure, and may use the group. Nobody else waits for them.
func TestN19_AContextThatNeverAnswersHoldsUpNobodyElseOfItsGroup(t *testing.T) {
	base := &asked{Context: t.Context()}
	err := contract.OpenGroup(base, func(_ context.Context, g *contract.Group) error {
		blocked, entered := make(chan struct{}), make(chan struct{})
		var asked atomic.Bool
		look := func() {
			if !asked.Swap(true) {
				close(entered)
				<-blocked
			}
		}
		base.look.Store(&look)
		g.Go(func(context.Context) error { return errSeven })
		<-entered
		g.Cancel()
		base.look.Store(nil)
		close(blocked)
		return nil
	})
	if err != errSeven { //nolint:errorlint // the very same
		t.Errorf("the group: %v", err)
	}
}

// That a group was cancelled does not hide why its ctx had ended before.
func TestCancelOfAGroupThatHasEndedHidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var callees atomic.Int32
		p := pair.Serve(t, echoing(&callees))
		why := errors.New("the caller has had enough")
		for name, cause := range map[string]error{"with a cause": why, "without one": nil} {
			ctx, stop := context.WithCancelCause(t.Context())
			err := contract.OpenGroup(ctx, func(ctx context.Context, g *contract.Group) error {
				defer g.Cancel()
				opens(t, echoes.OpenIn(g, p, 1, func(_ context.Context, c *echoesOpener) error { return c.Hibernate(context.Cause) }, nil))
				synctest.Wait()
				stop(cause)
				<-ctx.Done()
				return nil
			})
			if want := context.Cause(ctx); err != want { //nolint:errorlint // the very same
				t.Errorf("%s: the group ended with %v, want %v", name, err, want)
			}
		}
	})
}

// A panic of a body goes on where the group was opened, and no ended can hide it: Open would not have
// returned.
func TestP10_NothingHidesAPanicOfABody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var callees atomic.Int32
		p := pair.Serve(t, echoing(&callees))
		defer func() {
			if panicked, ok := recover().(*fault.PanicError); !ok || panicked.Value != "no more" || callees.Load() != 1 {
				t.Errorf("got %v, and %d callees were told", panicked, callees.Load())
			}
		}()
		err := contract.OpenGroup(t.Context(), func(_ context.Context, g *contract.Group) error {
			opens(t, echoes.OpenIn(g, p, 1, func(context.Context, *echoesOpener) error { panic("no more") }, func(_ int, err error) error {
				t.Errorf("ended was called with %v", err)
				return nil
			}))
			return nil
		})
		t.Errorf("OpenGroup returned %v", err)
	})
}

// A hibernation is of one context. What has got it as the failure of a scope inside, and passes it
// on, has failed with it; it does not hibernate in its place.
func TestAHibernationThatIsPassedOnIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var callees atomic.Int32
		var p *pair.Portal
		passOn := func(ctx context.Context) error {
			_, err := echoes.Open(ctx, p, 1, func(_ context.Context, c *echoesOpener) error { return c.Hibernate(context.Cause) })
			return err
		}
		call := contract.Func[int, int]("call")
		stream := contract.Source[int, int]("stream")
		outer := contract.Context[int, int, int, int, int]("outer")
		p = pair.Serve(t, echoing(&callees),
			call.Handle(func(ctx context.Context, _ int) (int, error) { return 0, passOn(ctx) }),
			stream.Handle(func(ctx context.Context, _ int) iter.Seq2[int, error] {
				return func(yield func(int, error) bool) { yield(0, passOn(ctx)) }
			}),
			outer.Handle(func(ctx context.Context, _ int, c *echoesCallee) (int, error) {
				if err := c.Started(0); err != nil {
					return 0, err
				}
				return 0, passOn(ctx)
			}))
		for name, run := range map[string]func(ctx context.Context) error{
			"a Func": func(ctx context.Context) error { _, err := call.Call(ctx, p, 1); return err },
			"a Source": func(ctx context.Context) (last error) {
				for _, err := range stream.Stream(ctx, p, 1) {
					last = err
				}
				return last
			},
			"a Context": func(ctx context.Context) error {
				_, err := outer.Open(ctx, p, 1, func(ctx context.Context, c *echoesOpener) error { _, err := c.Wait(ctx); return err })
				return err
			},
			"a body of OpenIn": func(ctx context.Context) error {
				return contract.OpenGroup(ctx, func(_ context.Context, g *contract.Group) error {
					opens(t, echoes.OpenIn(g, p, 1, func(ctx context.Context, _ *echoesOpener) error { return passOn(ctx) }, nil))
					return nil
				})
			},
		} {
			ctx, stop := context.WithTimeout(t.Context(), time.Hour)
			began := time.Now()
			if err := run(ctx); err == nil || !strings.Contains(err.Error(), "Hibernate is for handlers of contexts") || time.Since(began) > 0 {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
			stop()
		}
	})
}
