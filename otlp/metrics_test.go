package otlp_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metrics "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/otlp"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// often is settings with which numbers are sent again and again.
func often(c *collector) config.Telemetry {
	o := settings(c)
	o.OTLP.Interval = config.Duration(time.Millisecond)
	return o
}

// O02: the numbers of a tree reach the collector while it runs, each process as a resource of its own; after a restart those of
// the new process do.
func TestO02_NumbersAreExported(t *testing.T) {
	eachProtocol(t, func(t *testing.T, protocol config.Protocol) {
		tempdir.Use(t)
		c := newCollector(t, protocol)
		err := otlp.Run(t.Context(), often(c), func(ctx context.Context) error {
			return host.OpenTree(ctx, quiet(), []host.Spec{program(t, "speaker", "speaking")}, func(ctx context.Context, _ *host.Tree) error {
				p, err := directory.WaitFor(ctx, "speaker")
				if err != nil {
					return err
				}
				for range 3 {
					if _, err := speak.Call(ctx, p, "hello"); err != nil {
						return err
					}
				}
				for _, line := range []string{
					"speaker histogram trellis.call.duration in s map[rpc.method:speak] 3", "speaker gauge trellis.up in 1 map[] 1",
					"speaker counter trellis.call.failures in {call} map[rpc.method:speak] 0", "speaker counter trellis.restarts in {restart} map[] 0",
				} {
					resource, err := c.await(ctx, line)
					if err == nil && (resource["service.instance.id"] != p.Entry.Actor.UUID || resource["service.name"] != "speaker") {
						err = fmt.Errorf("%q is of %v, want %s", line, resource, p.Entry.Actor.UUID)
					}
					if err != nil {
						t.Errorf("O02: %v", err)
					}
				}
				c.mu.Lock()
				defer c.mu.Unlock()
				for _, name := range []string{
					"<nil> updowncounter process.memory.usage in By map[]", "speaker counter process.cpu.time in s map[]", "speaker updowncounter process.unix.file_descriptor.count in {file_descriptor} map[]",
					"speaker counter trellis.payload in By map[network.io.direction:receive]", "speaker counter trellis.payload in By map[network.io.direction:transmit]",
				} {
					if c.numbers[name] == "" || c.numbers[name] == "0" {
						t.Errorf("O02: %s is %q", name, c.numbers[name])
					}
				}
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(c.all(), func(line string) bool { return strings.Contains(line, "without") }); i >= 0 {
			t.Errorf("O02: %s", c.all()[i])
		}
	})
}

// O02: a collector that takes no numbers, or not all, and numbers that cannot be read, are told once, and so is that all is well again.
func TestO02_NumbersThatDoNotGetThrough(t *testing.T) {
	c := newCollector(t, config.HTTP)
	c.partial = &metrics.ExportMetricsPartialSuccess{RejectedDataPoints: 2, ErrorMessage: "too old"}
	await := func(ctx context.Context, text, why string) error {
		for r, err := range telemetry.From(ctx).Watch(ctx, telemetry.Filter{Follow: true}) {
			if err != nil || r.Text == text && strings.Contains(r.String(), why) {
				return err
			}
		}
		return errors.New("the tree has ended")
	}
	fails := false
	measure := func(context.Context) ([]telemetry.Metrics, error) {
		if fails {
			return nil, errors.New("out of paper")
		}
		return []telemetry.Metrics{{Actor: "a", Silent: "it is asleep"}}, nil
	}
	registry := directory.NewMemory("", nil)
	defer registry.Finish()
	ctx := telemetry.WithMeasure(directory.With(t.Context(), registry), measure) // as in the body of a nursery
	err := otlp.Run(ctx, often(c), func(ctx context.Context) error {
		if err := await(ctx, "numbers of actors do not reach the collector", "2 of them are refused: too old"); err != nil {
			return err
		}
		c.mu.Lock()
		c.partial = nil
		c.mu.Unlock()
		if err := await(ctx, "numbers of actors reach the collector again", ""); err != nil {
			return err
		}
		_, err := c.await(ctx, "a gauge trellis.silent in 1 map[] 1")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	fails = true
	err = otlp.Run(ctx, often(c), func(ctx context.Context) error {
		return await(ctx, "numbers of actors do not reach the collector", "out of paper")
	})
	if err != nil {
		t.Fatal(err)
	}
}

// O02: numbers of many actors are sent in requests that are not too large, and none is left out.
func TestO02_NumbersOfManyActors(t *testing.T) {
	const actors = 2000
	var all []telemetry.Metrics
	for i := range actors {
		m := telemetry.Metrics{Actor: fmt.Sprintf("a%d", i)}
		for j := range 8 {
			m.Endpoints = append(m.Endpoints, telemetry.Endpoint{Name: fmt.Sprintf("endpoint-%d", j), Took: time.Second, Buckets: []uint64{1}})
		}
		all = append(all, m)
	}
	c := newCollector(t, config.GRPC) // whose own bound is 4 MiB
	registry := directory.NewMemory("", nil)
	defer registry.Finish()
	ctx := telemetry.WithMeasure(directory.With(t.Context(), registry), func(context.Context) ([]telemetry.Metrics, error) { return all, nil })
	err := otlp.Run(ctx, often(c), func(ctx context.Context) error {
		for _, i := range []int{0, actors / 2, actors - 1} {
			if _, err := c.await(ctx, fmt.Sprintf("a%d histogram trellis.call.duration in s map[rpc.method:endpoint-7] 1", i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
