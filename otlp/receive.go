package otlp

import (
	"compress/gzip"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	traces "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // which programs may use
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Bounds of the receiver. Those of a record are the same for everybody, and are kept where it is put in.
const (
	mostMessage     = 1 << 20 // bytes of a request, decompressed; one of a program is read at a time
	bytesPerSecond  = 4 << 20 // of a program, on average; as many at once
	mostConnections = 64
	mostHeaders     = 16 << 10
	mostStreams     = 16 // requests on one connection, of which all but one wait
	requestBound    = 10 * time.Second
	idleBound       = 2 * time.Minute
)

// receiver is the endpoint for foreign programs. It speaks gRPC and HTTP at one port, since a program may have
// been written for either, and knows each by a secret, as others can connect to a port of this machine as well.
// Whoever calls listen owns it, and closes it.
type receiver struct {
	source telemetry.Source
	url    string
	server *http.Server
	grpc   *grpc.Server
	work   *task.Worker

	mu      sync.Mutex
	senders map[string]*sender // by their secrets
}

// sender is a foreign program, in whatever process; turn has one place.
type sender struct {
	path string
	turn chan struct{}

	mu   sync.Mutex
	debt float64 // bytes that it has sent beyond its pace
	at   time.Time
}

// secretHeader has the secret of a program.
const secretHeader = "x-trellis-key" //nolint:gosec // the name, and not the secret

// receiverKey is where [Equip] finds the receiver.
type receiverKey struct{}

// senderKey is where a request has its sender.
type senderKey struct{}

// listen serves the endpoint.
func listen(source telemetry.Source) (*receiver, error) {
	var c net.ListenConfig
	ln, err := c.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{source: source, url: "http://" + ln.Addr().String(), senders: map[string]*sender{}}
	r.grpc = grpc.NewServer(grpc.MaxRecvMsgSize(mostMessage))
	mux := http.NewServeMux()
	for _, e := range r.endpoints() {
		r.grpc.RegisterService(e.service(), nil)
		mux.Handle("POST "+e.path, &e)
	}
	r.server = &http.Server{
		Handler: r.admit(mux), MaxHeaderBytes: mostHeaders, ReadTimeout: requestBound, WriteTimeout: requestBound, IdleTimeout: idleBound,
		Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: mostStreams},
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug), // what strangers do wrong is no news
	}
	r.server.Protocols.SetHTTP1(true)
	r.server.Protocols.SetUnencryptedHTTP2(true)
	r.work = task.Start(func() { _ = r.server.Serve(netutil.LimitListener(ln, mostConnections)) }) // until it is closed
	return r, nil
}

// close ends what is running: the programs that could wait for it are gone.
func (r *receiver) close() {
	r.grpc.Stop()
	_ = r.server.Close()
	r.work.Wait()
}

// Equip gives the foreign programs among actors, and among those that actors host, the endpoint at which a tree
// takes in what they say: in their environment, and each with a secret by which it is known. One whose environment has
// settings for OTLP already is left as it is. Within no [Run] with Receive, nothing is changed.
//
// What they send is told as of the actor of that name. Replicas of one cannot be told apart.
func Equip(ctx context.Context, actors []config.Actor) []config.Actor {
	r, ok := ctx.Value(receiverKey{}).(*receiver)
	if !ok {
		return actors
	}
	return r.equip(directory.Here(ctx), actors)
}

func (r *receiver) equip(host string, actors []config.Actor) []config.Actor {
	all := make([]config.Actor, len(actors))
	for i, a := range actors {
		path := treepath.Join(host, a.Name)
		a.Actors = r.equip(path, a.Actors)
		if a.GoPlugin != nil && !configured(a.Env) {
			given := a.Env
			a.Env = r.environment(path)
			maps.Copy(a.Env, given)
		}
		all[i] = a
	}
	return all
}

// configured reports whether an environment says where telemetry goes.
func configured(env map[string]string) bool {
	for name := range env {
		if strings.HasPrefix(name, "OTEL_EXPORTER_OTLP_") {
			return true
		}
	}
	return false
}

// environment is that of a program, by the names that OpenTelemetry's libraries know. What nobody keeps here they need
// not send. It is the same each time for one actor, so that a tree can be compared with itself.
func (r *receiver) environment(path string) map[string]string {
	secret := rand.Text()
	r.mu.Lock()
	defer r.mu.Unlock()
	for known, s := range r.senders {
		if s.path == path {
			secret = known
		}
	}
	if r.senders[secret] == nil {
		r.senders[secret] = &sender{path: path, turn: make(chan struct{}, 1), at: time.Now()}
	}
	spans := "none"
	if r.source != nil && r.source.KeepsSpans() {
		spans = "otlp"
	}
	return map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": r.url, "OTEL_EXPORTER_OTLP_PROTOCOL": string(config.HTTP),
		"OTEL_EXPORTER_OTLP_HEADERS": secretHeader + "=" + secret,
		"OTEL_TRACES_EXPORTER":       spans, "OTEL_METRICS_EXPORTER": "none",
	}
}

// admit lets those in that are known, one request of each at a time, and at its pace.
func (r *receiver) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		s := r.senders[req.Header.Get(secretHeader)]
		r.mu.Unlock()
		if s == nil {
			http.Error(w, fmt.Sprintf("expected the header %s that is in OTEL_EXPORTER_OTLP_HEADERS", secretHeader), http.StatusUnauthorized)
			return
		}
		select {
		case s.turn <- struct{}{}:
			defer func() { <-s.turn }()
		case <-req.Context().Done():
			return
		}
		if s.spend(0) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, fmt.Sprintf("expected at most %d bytes in a second", bytesPerSecond), http.StatusTooManyRequests)
			return
		}
		req = req.WithContext(context.WithValue(req.Context(), senderKey{}, s))
		if strings.HasPrefix(req.Header.Get("Content-Type"), "application/grpc") {
			r.grpc.ServeHTTP(w, req)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// spend counts bytes that have come, and reports whether these are too many for now.
func (s *sender) spend(bytes int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.debt = max(0, s.debt-now.Sub(s.at).Seconds()*bytesPerSecond) + float64(bytes)
	s.at = now
	return s.debt > bytesPerSecond
}

// endpoint takes one kind of telemetry in, over gRPC and over HTTP.
type endpoint struct {
	signal
	request func() proto.Message // an empty one
	take    func(from *sender, request proto.Message) (answer proto.Message)
}

func (r *receiver) endpoints() []endpoint {
	return []endpoint{
		{logsSignal, func() proto.Message { return new(collector.ExportLogsServiceRequest) }, r.takeLogs},
		{tracesSignal, func() proto.Message { return new(traces.ExportTraceServiceRequest) }, r.takeSpans},
	}
}

// accept takes a request that has been read.
func (e *endpoint) accept(ctx context.Context, request proto.Message) proto.Message {
	s := ctx.Value(senderKey{}).(*sender) // admit has put it there
	s.spend(proto.Size(request))
	return e.take(s, request)
}

// service is the service of gRPC, which has one method.
func (e *endpoint) service() *grpc.ServiceDesc {
	export := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		request := e.request()
		if err := decode(request); err != nil {
			return nil, err
		}
		return e.accept(ctx, request), nil
	}
	return &grpc.ServiceDesc{ServiceName: e.signal.service, HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{MethodName: "Export", Handler: export}}}
}

// ServeHTTP takes a request over HTTP.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if got := req.Header.Get("Content-Type"); got != protobufType {
		http.Error(w, fmt.Sprintf("expected %s, got %s", protobufType, words.Quote(got)), http.StatusUnsupportedMediaType)
		return
	}
	body, err := readBody(w, req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	request := e.request()
	if err := proto.Unmarshal(body, request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := proto.Marshal(e.accept(req.Context(), request))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", protobufType)
	_, _ = w.Write(answer) // a program that is gone needs none
}

// readBody reads a body that may be compressed, and is bounded in either form.
func readBody(w http.ResponseWriter, req *http.Request) ([]byte, error) {
	var body io.Reader = http.MaxBytesReader(w, req.Body, mostMessage)
	switch encoding := req.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = io.LimitReader(unzipped, mostMessage+1)
	default:
		return nil, fmt.Errorf("expected gzip or no encoding, got %s", words.Quote(encoding))
	}
	all, err := io.ReadAll(body)
	if err == nil && len(all) > mostMessage {
		err = fmt.Errorf("expected at most %d bytes, got more", mostMessage)
	}
	return all, err
}
