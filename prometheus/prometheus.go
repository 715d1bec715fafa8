// Package prometheus shows the numbers of a tree of actors to Prometheus.
//
//	host.OpenNursery(ctx, o, func(ctx context.Context, n *host.Nursery) error {
//		http.Handle("/metrics", prometheus.Handler(ctx))
//		…
//
// The ctx is that of a nursery's body, or of the body of host.Join. Nothing is read but while somebody asks. Whoever has a
// registry of their own registers [NewCollector] there instead. Names and labels are in docs/metrics.md.
//
// No package of a host or a plugin imports this one: whoever does not want Prometheus does not carry it.
package prometheus

import (
	"context"
	"net/http"
	"strings"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seed-2ba35074/trellis/metrics"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

const (
	patience   = 5 * time.Second // for the whole tree, whose actors have one second
	mostAtOnce = 4               // requests; others are answered 503
)

// Handler answers with the numbers of the tree that ctx is in.
func Handler(ctx context.Context) http.Handler {
	r := client.NewRegistry()
	r.MustRegister(NewCollector(ctx))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: mostAtOnce})
}

// NewCollector makes a collector of the numbers of the tree that ctx is in.
func NewCollector(ctx context.Context) client.Collector {
	c := &collector{ctx: ctx, instruments: metrics.Instruments(), buckets: telemetry.Bounds()}
	for _, i := range c.instruments {
		c.descs = append(c.descs, client.NewDesc(name(&i), i.Help, labels(&i), nil))
	}
	return c
}

type collector struct {
	ctx         context.Context
	instruments []metrics.Instrument
	descs       []*client.Desc // of each instrument
	buckets     []time.Duration
}

// Describe says what there may be.
func (c *collector) Describe(to chan<- *client.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

// Collect reads the numbers.
func (c *collector) Collect(to chan<- client.Metric) {
	ctx, stop := context.WithTimeout(c.ctx, patience)
	defer stop()
	all, err := telemetry.Measure(ctx)
	if err != nil {
		to <- client.NewInvalidMetric(c.descs[0], err)
		return
	}
	for i := range c.instruments {
		for j := range all {
			for p := range c.instruments[i].Points(&all[j]) {
				to <- c.metric(i, all[j].Actor, &p)
			}
		}
	}
}

func (c *collector) metric(i int, actor string, p *metrics.Point) client.Metric {
	values := []string{actor}
	if c.instruments[i].Label != "" {
		values = append(values, p.Is)
	}
	switch kind := c.instruments[i].Kind; kind {
	case metrics.Histogram:
		below, n := map[float64]uint64{}, uint64(0)
		for b, bound := range c.buckets {
			if b < len(p.Buckets) {
				n += p.Buckets[b]
			}
			below[bound.Seconds()] = n
		}
		if len(p.Buckets) > len(c.buckets) {
			n += p.Buckets[len(c.buckets)]
		}
		return client.MustNewConstHistogram(c.descs[i], n, p.Value, below, values...)
	case metrics.Counter:
		return client.MustNewConstMetric(c.descs[i], client.CounterValue, p.Value, values...)
	case metrics.Gauge:
		return client.MustNewConstMetric(c.descs[i], client.GaugeValue, p.Value, values...)
	default:
		panic("no such kind: " + string(kind))
	}
}

func labels(i *metrics.Instrument) []string {
	if i.Label == "" {
		return []string{"actor"}
	}
	return []string{"actor", i.Label}
}

// name is that of an instrument as Prometheus has it: with its unit, and total for what only goes up.
func name(i *metrics.Instrument) string {
	text := strings.ReplaceAll(i.Name, ".", "_") + map[string]string{"s": "_seconds", "By": "_bytes"}[i.Unit]
	if i.Kind == metrics.Counter {
		text += "_total"
	}
	return text
}
