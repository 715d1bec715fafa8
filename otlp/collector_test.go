package otlp_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"

	logs "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	traces "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/host/config"
)

// collector is one of OpenTelemetry's, of which the test sees what comes. It speaks one of the protocols. Its port is the
// test's, so that nobody else gets it while the collector is away.
type collector struct {
	t        *testing.T
	protocol config.Protocol
	answer   func(ctx context.Context, request *logs.ExportLogsServiceRequest) (*logs.ExportLogsServiceResponse, error) // nil: takes all
	partial  *metrics.ExportMetricsPartialSuccess                                                                       // what is told of numbers that are refused; nil: takes all
	port     net.Listener
	stop     func()

	mu      sync.Mutex
	process *process                  // the last one
	lines   map[string]map[string]any // resources, by what they have logged, and by what numbers they had at any time
	numbers map[string]string         // the last ones
	spans   []span
	headers map[string]bool // values of the header x-token
	changed chan struct{}
}

// span is one that has come, with its resource.
type span struct {
	*tracepb.Span
	resource map[string]any
}

// process has the connections of a collector from one start to the next stop.
type process struct {
	net.Listener
	conns chan net.Conn
	once  sync.Once
	over  chan struct{}
}

func (p *process) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

func (p *process) Close() error {
	p.once.Do(func() { close(p.over) })
	return nil
}

func newCollector(t *testing.T, protocol config.Protocol) *collector {
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{t: t, protocol: protocol, port: port, lines: map[string]map[string]any{}, numbers: map[string]string{}, headers: map[string]bool{}, changed: make(chan struct{})}
	go c.accept()
	c.start()
	t.Cleanup(func() {
		c.stop()
		port.Close()
	})
	return c
}

// accept gives connections to the process that is there, and cuts them if none is.
func (c *collector) accept() {
	for {
		conn, err := c.port.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		p := c.process
		c.mu.Unlock()
		select {
		case p.conns <- conn:
		case <-p.over:
			conn.Close()
		}
	}
}

// start is a new process, which has nothing to do with the connections that there were.
func (c *collector) start() {
	ln := &process{Listener: c.port, conns: make(chan net.Conn), over: make(chan struct{})}
	c.mu.Lock()
	c.process = ln
	c.mu.Unlock()
	if c.protocol == config.GRPC {
		s := grpc.NewServer()
		for _, e := range c.services() {
			s.RegisterService(&grpc.ServiceDesc{
				ServiceName: "opentelemetry.proto.collector." + e.service, HandlerType: (*any)(nil),
				Methods: []grpc.MethodDesc{{MethodName: "Export", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
					request := e.request()
					if err := decode(request); err != nil {
						return nil, err
					}
					in, _ := metadata.FromIncomingContext(ctx)
					return c.take(ctx, e, request, in.Get("x-token"))
				}}},
			}, nil)
		}
		go s.Serve(ln)
		c.stop = s.Stop
		return
	}
	mux := http.NewServeMux()
	for _, e := range c.services() {
		mux.HandleFunc("POST /base/v1/"+e.path, func(w http.ResponseWriter, req *http.Request) {
			body, err := io.ReadAll(req.Body)
			request := e.request()
			err = errors.Join(err, proto.Unmarshal(body, request))
			if err == nil && req.Header.Get("Content-Type") != "application/x-protobuf" {
				err = errors.New("no content type")
			}
			answer, refused := c.take(req.Context(), e, request, req.Header.Values("X-Token"))
			if err = errors.Join(err, refused); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			text, _ := proto.Marshal(answer)
			w.Write(text)
		})
	}
	s := &http.Server{Handler: mux}
	go s.Serve(ln)
	c.stop = func() { s.Close() }
}

// service takes one kind of telemetry.
type service struct {
	service, path string
	request       func() proto.Message
	take          func(request proto.Message) (answer proto.Message) // it is called under the lock
}

func (c *collector) services() []service {
	return []service{
		{"logs.v1.LogsService", "logs", func() proto.Message { return new(logs.ExportLogsServiceRequest) }, func(m proto.Message) proto.Message {
			c.takeLogs(m.(*logs.ExportLogsServiceRequest))
			return &logs.ExportLogsServiceResponse{}
		}},
		{"trace.v1.TraceService", "traces", func() proto.Message { return new(traces.ExportTraceServiceRequest) }, func(m proto.Message) proto.Message {
			c.takeSpans(m.(*traces.ExportTraceServiceRequest))
			return &traces.ExportTraceServiceResponse{}
		}},
		{"metrics.v1.MetricsService", "metrics", func() proto.Message { return new(metrics.ExportMetricsServiceRequest) }, func(m proto.Message) proto.Message {
			return c.takeMetrics(m.(*metrics.ExportMetricsServiceRequest))
		}},
	}
}

func (c *collector) endpoint() string {
	if c.protocol == config.GRPC {
		return "http://" + c.port.Addr().String()
	}
	return "http://" + c.port.Addr().String() + "/base"
}

func (c *collector) take(ctx context.Context, e service, request proto.Message, tokens []string) (proto.Message, error) {
	if logged, is := request.(*logs.ExportLogsServiceRequest); is && c.answer != nil {
		return c.answer(ctx, logged)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, token := range tokens {
		c.headers[token] = true
	}
	answer := e.take(request)
	close(c.changed)
	c.changed = make(chan struct{})
	return answer, nil
}

func (c *collector) takeLogs(request *logs.ExportLogsServiceRequest) {
	for _, r := range request.GetResourceLogs() {
		resource := valuesOf(r.GetResource().GetAttributes())
		for _, scoped := range r.GetScopeLogs() {
			for _, l := range scoped.GetLogRecords() {
				line := fmt.Sprintf("%v %s %s %v", resource["trellis.path"], l.GetSeverityText(), l.GetBody().GetStringValue(), valuesOf(l.GetAttributes()))
				if len(l.GetTraceId()) > 0 {
					line += " " + hex.EncodeToString(l.GetTraceId()) + "/" + hex.EncodeToString(l.GetSpanId())
				}
				if int(l.GetSeverityNumber()) == 0 || l.GetTimeUnixNano() == 0 || l.GetObservedTimeUnixNano() < l.GetTimeUnixNano() {
					line += " without a level or a time"
				}
				c.lines[line] = resource
			}
		}
	}
}

func (c *collector) takeSpans(request *traces.ExportTraceServiceRequest) {
	for _, r := range request.GetResourceSpans() {
		resource := valuesOf(r.GetResource().GetAttributes())
		for _, scoped := range r.GetScopeSpans() {
			for _, s := range scoped.GetSpans() {
				c.spans = append(c.spans, span{s, resource})
			}
		}
	}
}

// takeMetrics keeps the last value of each number.
func (c *collector) takeMetrics(request *metrics.ExportMetricsServiceRequest) *metrics.ExportMetricsServiceResponse {
	if c.partial != nil {
		return &metrics.ExportMetricsServiceResponse{PartialSuccess: c.partial}
	}
	for _, r := range request.GetResourceMetrics() {
		resource := valuesOf(r.GetResource().GetAttributes())
		for _, m := range r.GetScopeMetrics()[0].GetMetrics() {
			for name, value := range pointsOf(m) {
				c.numbers[fmt.Sprintf("%v %s", resource["trellis.path"], name)] = value
				c.lines[fmt.Sprintf("%v %s %v", resource["trellis.path"], name, value)] = resource
			}
		}
	}
	return &metrics.ExportMetricsServiceResponse{}
}

// pointsOf are the points of a metric, by its name, kind, unit and attributes.
func pointsOf(m *metricspb.Metric) map[string]string {
	all := map[string]string{}
	number := func(kind string, p *metricspb.NumberDataPoint) {
		value := fmt.Sprint(p.GetAsInt())
		if _, is := p.GetValue().(*metricspb.NumberDataPoint_AsDouble); is {
			value = fmt.Sprint(p.GetAsDouble())
		}
		if p.GetStartTimeUnixNano() == 0 || p.GetTimeUnixNano() < p.GetStartTimeUnixNano() {
			value += " without a time"
		}
		all[fmt.Sprintf("%s %s in %s %v", kind, m.GetName(), m.GetUnit(), valuesOf(p.GetAttributes()))] = value
	}
	switch data := m.GetData().(type) {
	case *metricspb.Metric_Gauge:
		for _, p := range data.Gauge.GetDataPoints() {
			number("gauge", p)
		}
	case *metricspb.Metric_Sum:
		for _, p := range data.Sum.GetDataPoints() {
			number(map[bool]string{true: "counter", false: "updowncounter"}[data.Sum.GetIsMonotonic()], p)
		}
	case *metricspb.Metric_Histogram:
		for _, p := range data.Histogram.GetDataPoints() {
			value := fmt.Sprint(p.GetCount())
			if len(p.GetBucketCounts()) != len(p.GetExplicitBounds())+1 || p.GetCount() > 0 && p.GetSum() <= 0 {
				value += " without buckets or a sum"
			}
			all[fmt.Sprintf("histogram %s in %s %v", m.GetName(), m.GetUnit(), valuesOf(p.GetAttributes()))] = value
		}
	}
	return all
}

func valuesOf(all []*commonpb.KeyValue) map[string]any {
	values := map[string]any{}
	for _, a := range all {
		switch v := a.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			values[a.GetKey()] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			values[a.GetKey()] = v.IntValue
		default:
			values[a.GetKey()] = fmt.Sprint(v)
		}
	}
	return values
}

// await returns when a line has come, with the resource that it is of.
func (c *collector) await(ctx context.Context, line string) (map[string]any, error) {
	for {
		c.mu.Lock()
		resource, changed := c.lines[line], c.changed
		c.mu.Unlock()
		if resource != nil {
			return resource, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("%q has not come: %w", line, context.Cause(ctx))
		}
	}
}

// all are the lines that have come.
func (c *collector) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.lines))
}
