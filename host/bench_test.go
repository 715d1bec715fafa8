package host_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// withGood runs a benchmark against one good plugin in a process of its own.
func withGood(b *testing.B, body func(ctx context.Context, n *host.Nursery, p *host.Portal)) {
	b.Helper()
	err := host.OpenNursery(b.Context(), host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, spec(b, "good", "good"))
		if err != nil {
			return err
		}
		body(ctx, n, p)
		n.Cancel()
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkCall(b *testing.B) {
	withGood(b, func(ctx context.Context, _ *host.Nursery, p *host.Portal) {
		for b.Loop() {
			if _, err := echo.Call(ctx, p, "sixty-four bytes of text, which is what a small call has with it"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCallParallel(b *testing.B) {
	withGood(b, func(ctx context.Context, _ *host.Nursery, p *host.Portal) {
		b.SetParallelism(32)
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := echo.Call(ctx, p, "x"); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

func BenchmarkContextOpenAndClose(b *testing.B) {
	withGood(b, func(ctx context.Context, _ *host.Nursery, p *host.Portal) {
		for b.Loop() {
			_, err := double.Open(ctx, p, "x", func(_ context.Context, c *contract.Opener[string, int, int, int]) error {
				s, err := c.Stream(contract.StreamOptions{})
				if err == nil {
					s.CloseSend()
				}
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSource(b *testing.B) {
	withGood(b, func(ctx context.Context, _ *host.Nursery, p *host.Portal) {
		b.ResetTimer()
		for _, err := range numbers.Stream(ctx, p, b.N) {
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkStartAndEnd(b *testing.B) {
	for b.Loop() {
		withGood(b, func(context.Context, *host.Nursery, *host.Portal) {})
	}
}

// C21: how long it takes until a cancelled callee has ended while another context
// of the same link streams in both directions as fast as it can.
func BenchmarkC21_CancelUnderSaturation(b *testing.B) {
	withGood(b, func(ctx context.Context, n *host.Nursery, p *host.Portal) {
		ctx, stop := context.WithCancel(ctx)
		saturated := make(chan struct{})
		n.Go(func() { saturate(ctx, b, p, saturated) })
		<-saturated
		var took []time.Duration
		for b.Loop() {
			_, err := forever.Open(ctx, p, none{}, func(ctx context.Context, c *contract.Opener[none, none, none, none]) error {
				begun := time.Now()
				err := c.Cancel(ctx, "measured")
				took = append(took, time.Since(begun))
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		stop()
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs/cancel-p50")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs/cancel-p99")
	})
}

// saturate streams numbers to a plugin that sends each one back, from as many
// goroutines as it takes, until ctx ends.
func saturate(ctx context.Context, b *testing.B, p *host.Portal, saturated chan<- struct{}) {
	_, err := double.Open(ctx, p, "x", func(ctx context.Context, c *contract.Opener[string, int, int, int]) error {
		s, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		c.Go(func(ctx context.Context) error {
			for i := 0; ; i++ {
				if err := s.Send(ctx, i); err != nil {
					return err
				}
			}
		})
		received := 0
		for _, err := range s.All(ctx) {
			if err != nil {
				return err
			}
			if received++; received == 10_000 {
				close(saturated)
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		b.Error(err)
	}
}
