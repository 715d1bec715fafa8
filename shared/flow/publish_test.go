package flow_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/flow"
)

var news = contract.Source[flow.Topics, flow.Publication[int]]("news")

func TestPublisherServesSubscribersByTopic(t *testing.T) {
	wants := []struct {
		topics []string
		count  int
	}{{nil, 100}, {[]string{"odd", "ready"}, 50}, {[]string{"even", "odd", "ready"}, 100}, {[]string{"ready"}, 0}}
	var ready sync.WaitGroup
	ready.Add(len(wants))
	all := make(chan struct{})
	p := pair.Serve(t, flow.Publish(news, 1000, func(_ context.Context, publish func(string, int)) error {
		for waiting := true; waiting; {
			select {
			case <-all:
				waiting = false
			default:
				publish("ready", 0)
				runtime.Gosched()
			}
		}
		for i := range 100 {
			publish([]string{"even", "odd"}[i%2], i)
		}
		return nil
	}))
	var group task.Group
	for _, want := range wants {
		group.Go(func() {
			got, first := 0, true
			for m, err := range news.Stream(t.Context(), p, flow.Topics{Topics: want.topics}) {
				if first {
					ready.Done() // it gets everything from now on
					first = false
				}
				if err != nil {
					t.Errorf("%v: %v", want.topics, err)
				}
				if m.Topic != "ready" {
					got++
				}
			}
			if got != want.count {
				t.Errorf("%v: %d messages, want %d", want.topics, got, want.count)
			}
		})
	}
	ready.Wait()
	close(all)
	group.Close()
}

func TestPublisherStopsWithTheLastSubscriber(t *testing.T) {
	stopped := make(chan error, 1)
	p := pair.Serve(t, flow.Publish(news, 0, func(ctx context.Context, publish func(string, int)) error {
		for i := 0; ctx.Err() == nil; i++ {
			publish("t", i)
		}
		stopped <- context.Cause(ctx)
		return ctx.Err()
	}))
	for range 2 { // it begins anew for a later subscriber
		for m, err := range news.Stream(t.Context(), p, flow.Topics{}) {
			if err != nil || m.Topic != "t" {
				t.Errorf("%+v, %v", m, err)
			}
			break
		}
		if err := <-stopped; !errors.Is(err, context.Canceled) {
			t.Errorf("the producer's ctx ended with %v", err)
		}
	}
}

func TestPublisherFailureReachesEverySubscriber(t *testing.T) {
	p := pair.Serve(t, flow.Publish(news, 0, func(context.Context, func(string, int)) error { return errUser }))
	for _, err := range news.Stream(t.Context(), p, flow.Topics{}) {
		if remote, ok := errors.AsType[*fault.RemoteError](err); !ok || remote.Message != errUser.Error() {
			t.Errorf("got %v", err)
		}
	}
}
