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
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
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
	port     net.Listener
	stop     func()

	mu      sync.Mutex
	process *process                  // the last one
	lines   map[string]map[string]any // resources, by what they have logged
	headers map[string]bool           // values of the header x-token
	changed chan struct{}
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
	c := &collector{t: t, protocol: protocol, port: port, lines: map[string]map[string]any{}, headers: map[string]bool{}, changed: make(chan struct{})}
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
		s.RegisterService(&grpc.ServiceDesc{
			ServiceName: "opentelemetry.proto.collector.logs.v1.LogsService", HandlerType: (*any)(nil),
			Methods: []grpc.MethodDesc{{MethodName: "Export", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				request := new(logs.ExportLogsServiceRequest)
				if err := decode(request); err != nil {
					return nil, err
				}
				in, _ := metadata.FromIncomingContext(ctx)
				return c.take(ctx, request, in.Get("x-token"))
			}}},
		}, nil)
		go s.Serve(ln)
		c.stop = s.Stop
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /base/v1/logs", func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		request := new(logs.ExportLogsServiceRequest)
		err = errors.Join(err, proto.Unmarshal(body, request))
		if err == nil && req.Header.Get("Content-Type") != "application/x-protobuf" {
			err = errors.New("no content type")
		}
		answer, refused := c.take(req.Context(), request, req.Header.Values("X-Token"))
		if err = errors.Join(err, refused); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		text, _ := proto.Marshal(answer)
		w.Write(text)
	})
	s := &http.Server{Handler: mux}
	go s.Serve(ln)
	c.stop = func() { s.Close() }
}

func (c *collector) endpoint() string {
	if c.protocol == config.GRPC {
		return "http://" + c.port.Addr().String()
	}
	return "http://" + c.port.Addr().String() + "/base"
}

func (c *collector) take(ctx context.Context, request *logs.ExportLogsServiceRequest, tokens []string) (*logs.ExportLogsServiceResponse, error) {
	if c.answer != nil {
		return c.answer(ctx, request)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, token := range tokens {
		c.headers[token] = true
	}
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
	close(c.changed)
	c.changed = make(chan struct{})
	return &logs.ExportLogsServiceResponse{}, nil
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
