package contract_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// blocks are messages of growing size, so that they lie in memory of every kind: small ones share
// some, large ones come in pieces.
var blocks = contract.Source[int, []byte]("blocks")

func block(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 1<<i) }

func serveBlocks(_ context.Context, n int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for i := range n {
			if !yield(block(i), nil) {
				return
			}
		}
		yield(nil, errBoom)
	}
}

// A borrowed message is whole during its turn, and gone with the next one.
func TestBorrowedMessagesAreGoneAfterTheirTurn(t *testing.T) {
	wire.OverwriteFreed()
	p := pair.Serve(t, blocks.Handle(serveBlocks))
	var last []byte
	var err error
	i := 0
	for m, failed := range blocks.Borrow(t.Context(), p, 19) {
		if last != nil && last[0] == byte(i-1) {
			t.Errorf("message %d can still be read", i-1)
		}
		if err = failed; err != nil {
			break
		}
		if !bytes.Equal(m, block(i)) {
			t.Errorf("message %d, of %d bytes, is not what was sent", i, len(m))
		}
		last = m
		i++
	}
	if i != 19 || !errors.Is(err, errBoom) {
		t.Errorf("%d messages, and then %v", i, err)
	}
}

// The loop's end is the end of what it has borrowed.
func TestBorrowedMessageIsGoneAfterTheLoop(t *testing.T) {
	wire.OverwriteFreed()
	p := pair.Serve(t, blocks.Handle(serveBlocks))
	for m, err := range blocks.Borrow(t.Context(), p, 19) {
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if bytes.Equal(m, block(0)) {
				t.Error("the message can still be read")
			}
		}()
		break
	}
}

// keepsIt decodes itself and keeps what it was given, as it must not: it has its own memory all the same.
type keepsIt struct{ kept []byte }

func (k keepsIt) MarshalBinary() ([]byte, error) { return k.kept, nil }

func (k *keepsIt) UnmarshalBinary(b []byte) error { k.kept = b; return nil }

// record is a message that is decoded into memory of its own.
type record struct {
	Name  string
	Bytes []byte
	Any   any
}

// What is received without Borrow stays, whatever comes later.
func TestReceivedMessagesStay(t *testing.T) {
	wire.OverwriteFreed()
	p := pair.Serve(t, blocks.Handle(serveBlocks))
	check(t, p, blocks, block, bytes.Equal)

	records := contract.Source[int, record]("records")
	makeRecord := func(i int) record {
		return record{string(block(i)), block(i), []any{string(block(i)), block(i)}}
	}
	p = pair.Serve(t, records.Handle(func(_ context.Context, n int) iter.Seq2[record, error] { return sequence(n, makeRecord) }))
	check(t, p, records, makeRecord, func(a, b record) bool { return fmt.Sprint(a) == fmt.Sprint(b) })

	keepers := contract.Source[int, keepsIt]("keepers")
	makeKeeper := func(i int) keepsIt { return keepsIt{block(i)} }
	p = pair.Serve(t, keepers.Handle(func(_ context.Context, n int) iter.Seq2[keepsIt, error] { return sequence(n, makeKeeper) }))
	check(t, p, keepers, makeKeeper, func(a, b keepsIt) bool { return bytes.Equal(a.kept, b.kept) })
}

// sequence yields n values, and then fails.
func sequence[T any](n int, value func(int) T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for i := range n {
			if !yield(value(i), nil) {
				return
			}
		}
		var none T
		yield(none, errBoom)
	}
}

func check[T any](t *testing.T, p contract.Portal, e contract.SourceEndpoint[int, T], want func(int) T, equal func(a, b T) bool) {
	t.Helper()
	var got []T
	for m, err := range e.Stream(t.Context(), p, 19) {
		if err == nil {
			got = append(got, m)
		} else if !errors.Is(err, errBoom) {
			t.Error(err)
		}
	}
	if len(got) != 19 {
		t.Errorf("%s: %d messages came", e.Name(), len(got))
	}
	for i, m := range got {
		if !equal(m, want(i)) {
			t.Errorf("%s: message %d has changed", e.Name(), i)
		}
	}
}

var halting = contract.Context[int, none, none, int, none]("halting")

// sendHalting sends numbers, n of them, in groups: one, two, three and so on, a second apart.
func sendHalting(ctx context.Context, n int, c *contract.Callee[none, none, int]) (none, error) {
	if err := c.Started(none{}); err != nil {
		return none{}, err
	}
	s, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return none{}, err
	}
	for i, group := 0, 1; i < n; group++ {
		for range group {
			if err := s.Send(ctx, i); err != nil {
				return none{}, err
			}
			i++
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return none{}, context.Cause(ctx)
		}
	}
	if n%2 == 1 {
		return none{}, errBoom
	}
	return none{}, nil
}

// Batches are what has come at once, and never wait to become larger.
func TestBatchesAreWhatHasCome(t *testing.T) {
	for name, c := range map[string]struct {
		n, most int
		want    []int // sizes
	}{
		"unbounded": {10, 0, []int{1, 2, 3, 4}},
		"of two":    {10, 2, []int{1, 2, 2, 2, 2, 1}},
		"of one":    {3, 1, []int{1, 1, 1}},
		"none":      {0, 0, nil},
		"failing":   {15, 100, []int{1, 2, 3, 4, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pair.Serve(t, halting.Handle(sendHalting))
				var sizes, all []int
				var failed error
				_, err := halting.Open(t.Context(), p, c.n, func(ctx context.Context, o *contract.Opener[none, none, int, none]) error {
					s, err := o.Stream(contract.StreamOptions{})
					if err != nil {
						return err
					}
					look := time.Now().Add(500 * time.Millisecond) // between two groups
					time.Sleep(time.Until(look))
					for batch, err := range s.Batches(ctx, c.most) {
						if failed != nil {
							t.Error("something comes after the error")
						}
						if failed = err; err != nil && batch != nil {
							t.Errorf("%v came together with %v", batch, err)
						} else if err == nil {
							sizes, all = append(sizes, len(batch)), append(all, batch...)
							if !time.Now().Equal(look) {
								t.Errorf("%v came %v late", batch, time.Since(look))
							}
						}
						look = look.Add(time.Second)
						time.Sleep(time.Until(look))
					}
					return nil
				})
				for i, n := range all {
					if n != i {
						t.Errorf("%d came at place %d", n, i)
					}
				}
				if !slices.Equal(sizes, c.want) {
					t.Errorf("batches of %v, want %v", sizes, c.want)
				}
				if fails := c.n%2 == 1; errors.Is(failed, errBoom) != fails || errors.Is(err, errBoom) != fails {
					t.Errorf("the loop ended with %v, and the context with %v", failed, err)
				}
			})
		})
	}
}

// A batch that was not full when its ctx ended is given before the error.
func TestBatchesEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pair.Serve(t, halting.Handle(sendHalting))
		_, err := halting.Open(t.Context(), p, 100, func(ctx context.Context, o *contract.Opener[none, none, int, none]) error {
			s, err := o.Stream(contract.StreamOptions{})
			if err != nil {
				return err
			}
			limited, stop := context.WithTimeoutCause(ctx, 1500*time.Millisecond, errBoom)
			defer stop()
			n := 0
			for batch, err := range s.Batches(limited, 0) {
				if n += len(batch); err != nil && (!errors.Is(err, errBoom) || n != 3) {
					t.Errorf("%v after %d messages", err, n)
				}
			}
			return o.Cancel(ctx, "enough")
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// unhurried is a message that takes so long to decode that meanwhile its sender uses all of its credit.
type unhurried struct{ n int }

func (u unhurried) MarshalBinary() ([]byte, error) { return []byte(strconv.Itoa(u.n)), nil }

func (u *unhurried) UnmarshalBinary(b []byte) (err error) {
	synctest.Wait()
	if u.n, err = strconv.Atoi(string(b)); u.n == 1000 {
		return errors.New("this loop has no end")
	}
	return err
}

var endless = contract.Context[none, none, none, unhurried, none]("endless")

func sendEndless(ctx context.Context, _ none, c *contract.Callee[none, none, unhurried]) (none, error) {
	if err := c.Started(none{}); err != nil {
		return none{}, err
	}
	s, err := c.Stream(contract.StreamOptions{})
	for i := 0; err == nil; i++ {
		err = s.Send(ctx, unhurried{i})
	}
	return none{}, err
}

// A sender that never stops, and is faster than its receiver, keeps no batch from coming, and none
// is larger than the window. The end of its ctx ends the loop, although messages wait, and they are
// not lost.
func TestBatchesOfAnEndlessSender(t *testing.T) {
	const window = 8
	for name, most := range map[string]int{"unbounded": 0, "of three": 3, "of more than the window": 100} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pair.Serve(t, endless.Handle(sendEndless))
				_, err := endless.Open(t.Context(), p, none{}, func(ctx context.Context, o *contract.Opener[none, none, unhurried, none]) error {
					s, err := o.Stream(contract.StreamOptions{Window: contract.Window{Messages: window}})
					if err != nil {
						return err
					}
					limited, stop := context.WithCancelCause(ctx)
					defer stop(nil)
					var all []unhurried
					var ended error
					batches := 0
					for batch, err := range s.Batches(limited, most) {
						if ended = err; err != nil {
							break
						}
						if batches++; len(batch) > window || most > 0 && len(batch) > most {
							t.Errorf("a batch has %d messages", len(batch))
						}
						if all = append(all, batch...); batches == 5 {
							stop(errBoom)
						}
					}
					if batches != 5 || len(all) == batches || !errors.Is(ended, errBoom) {
						t.Errorf("%d batches of %d messages, and then %v", batches, len(all), ended)
					}
					next, err := s.Recv(ctx)
					for i, m := range append(all, next) {
						if m.n != i {
							t.Errorf("%d came at place %d", m.n, i)
						}
					}
					return errors.Join(err, o.Cancel(ctx, "enough"))
				})
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}
