package contract_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// counting yields n numbers and then fails, or ends if n is even.
func counting(_ context.Context, n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
		if n%2 == 1 {
			yield(0, errBoom)
		}
	}
}

var numbers = contract.Source[int, int]("numbers")

func TestM10_ValuesThatAreYieldedAreMessages(t *testing.T) {
	p := pair.Serve(t, numbers.Handle(counting))
	for _, n := range []int{0, 1, 64, 65, 1000, 1001} {
		got := 0
		var last error
		for m, err := range numbers.Stream(t.Context(), p, n) {
			if last != nil {
				t.Fatal("something comes after the error")
			}
			if last = err; err == nil {
				if m != got {
					t.Fatalf("message %d is %d", got, m)
				}
				got++
			}
		}
		if got != n || errors.Is(last, errBoom) != (n%2 == 1) {
			t.Errorf("%d messages of %d, then %v", got, n, last)
		}
	}
}

// A consumer that stops has ended the producer, clean-up included, when its loop
// is left; also by return and by panic.
func TestM10_ConsumerThatStopsEndsTheProducer(t *testing.T) {
	for _, way := range []string{"break", "return", "panic"} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cleaned, seen := false, 0
				endless := contract.Source[int, int]("endless")
				p := pair.Serve(t, endless.Handle(func(_ context.Context, _ int) iter.Seq2[int, error] {
					return func(yield func(int, error) bool) {
						defer func() {
							time.Sleep(100 * time.Millisecond)
							cleaned = true
						}()
						for i := 0; yield(i, nil); i++ {
						}
					}
				}))
				began := time.Now()
				func() {
					defer func() {
						if r := recover(); (r != nil) != (way == "panic") {
							t.Errorf("recovered %v", r)
						}
					}()
					for _, err := range endless.Stream(t.Context(), p, 0) {
						if err != nil {
							t.Errorf("message %d: %v", seen, err)
						}
						if seen++; seen < 200 {
							continue
						}
						switch way {
						case "return":
							return
						case "panic":
							panic(way)
						}
						break
					}
				}()
				if !cleaned || time.Since(began) != 100*time.Millisecond || seen != 200 {
					t.Errorf("the producer is gone: %t, after %v and %d messages", cleaned, time.Since(began), seen)
				}
			})
		})
	}
}

func TestM10_ProducerIsUnderBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		produced := 0
		p := pair.Serve(t, numbers.Handle(func(context.Context, int) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for yield(produced, nil) {
					produced++
				}
			}
		}))
		for m, err := range numbers.Stream(t.Context(), p, 0) {
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if ahead := produced - m; ahead > dialog.DefaultMessages+1 {
				t.Fatalf("the producer is %d ahead", ahead)
			}
			if m == 300 {
				break
			}
		}
	})
}

func TestM10_ConsumersCtxEndsTheLoopAndTheProducer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		p := pair.Serve(t, numbers.Handle(func(ctx context.Context, _ int) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				yield(1, nil)
				<-ctx.Done()
				ended = true
			}
		}))
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		var last error
		for m, err := range numbers.Stream(ctx, p, 0) {
			if m == 1 {
				cancel(errBoom)
			}
			last = err
		}
		if !ended || last != errBoom { //nolint:errorlint // C23: the very object
			t.Errorf("the producer has ended: %t; the loop ended with %v", ended, last)
		}
	})
}

func TestM10_ProducerThatPanicsOrFails(t *testing.T) {
	p := pair.Serve(t, numbers.Handle(func(_ context.Context, n int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			yield(1, nil)
			if n == 0 {
				panic("boom")
			}
			if yield(0, fmt.Errorf("producing: %w", errBoom)) {
				t.Error("the loop goes on after an error")
			}
		}
	}))
	for _, n := range []int{0, 1} {
		var texts []string
		for m, err := range numbers.Stream(t.Context(), p, n) {
			texts = append(texts, fmt.Sprint(m, " ", err))
		}
		if len(texts) != 2 || texts[0] != "1 <nil>" || !strings.Contains(texts[1], "boom") {
			t.Errorf("%q", texts)
		}
	}
}

// What does not fit is found by the receiver of a stream made by hand.
func TestP08_MessageThatDoesNotFitEndsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := false
		served := contract.Source[int, any]("mixed")
		p := pair.Serve(t, served.Handle(func(_ context.Context, _ int) iter.Seq2[any, error] {
			return func(yield func(any, error) bool) {
				if yield(1, nil) && yield(make(chan int), nil) {
					t.Error("a channel was sent")
				}
				gone = true
			}
		}))
		var last error
		for _, err := range served.Stream(t.Context(), p, 0) {
			last = err
		}
		if c := misfit(t, last); c.What != "message" || c.Got != "chan int" || !gone {
			t.Errorf("the stream ended with %v", last)
		}
		if r, ok := errors.AsType[*fault.RemoteError](last); !ok || !r.Origin.Is(p.Callee) {
			t.Errorf("it did not arise at the sender: %v", last)
		}
	})
}
