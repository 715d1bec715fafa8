package bench

import (
	"context"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/lab/bench/ours"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// relay is the program that hosts the one that is measured: what is said to that goes over it.
const relay = "relay"

func serveRelay() error {
	sdk.Plugin{Hosts: host.Subtree}.Serve()
	return nil
}

// relayedPeer is a plugin of package sdk that is hosted by another one.
type relayedPeer struct {
	process // the relay

	portal contract.Portal
}

func (l *lab) startRelayed(ctx context.Context) (process, error) {
	spec := l.spec(relay)
	spec.Name, spec.Actors = "relay", []host.Spec{l.spec(Trellis)}
	p, err := startIn(ctx, l.nursery, spec)
	if err != nil {
		return nil, err
	}
	return &relayedPeer{p, directory.ByName(ctx, spec.Name+"/"+spec.Actors[0].Name)}, nil
}

func (p *relayedPeer) call(ctx context.Context, payload []byte) ([]byte, error) {
	return ours.Call.Call(ctx, p.portal, payload)
}

func (p *relayedPeer) pour(ctx context.Context, size int, each func() bool) error {
	return take(ours.Pour.Stream(ctx, p.portal, size), size, each)
}

// hopWorkloads are a call and streams over a relay, against the same to a child.
func hopWorkloads(s sizes) (all []*workload) {
	const size = 64
	call := callMetric("call "+sizeName(size)+" over one more hop", 1, size)
	call.goals = []Goal{atMost(1.6, 0)}
	all = append(all, besideChild("hop", relay, call, func(ctx context.Context, p process) (sample, error) {
		found, err := calls(ctx, p, 1, size, s.length)
		return timesOf(found, 1), err
	}))
	for _, size := range []int{64, 64 << 10} {
		stream := streamMetric("stream "+sizeName(size)+" over one more hop", size)
		stream.goals = []Goal{atLeast(0.4, 0)}
		all = append(all, besideChild("hop", relay, stream, func(ctx context.Context, p process) (sample, error) {
			rate, err := flow(ctx, p, oneWay, size, s.length)
			return stream.rated(rate), err
		}))
	}
	return all
}
