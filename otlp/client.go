package otlp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/words"
)

// signal is a kind of telemetry: the service of gRPC that takes it, and its path in HTTP.
type signal struct{ service, path string }

var (
	logsSignal    = signal{"opentelemetry.proto.collector.logs.v1.LogsService", "/v1/logs"}
	tracesSignal  = signal{"opentelemetry.proto.collector.trace.v1.TraceService", "/v1/traces"}
	metricsSignal = signal{"opentelemetry.proto.collector.metrics.v1.MetricsService", "/v1/metrics"}
)

// client speaks with a collector. It may be used from any goroutine until it is closed.
type client interface {
	send(ctx context.Context, s signal, request, answer proto.Message) error
	close()
}

// newClient connects to nobody before something is sent.
func newClient(o config.OTLP) (client, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil {
		return nil, err
	}
	if o.Protocol == config.HTTP || o.Protocol == "" && u.Port() != "4317" {
		return &httpClient{url: u, headers: o.Headers, client: &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}}, nil
	}
	transport := credentials.NewTLS(nil)
	if u.Scheme == "http" {
		transport = insecure.NewCredentials()
	}
	pace := backoff.DefaultConfig
	pace.BaseDelay, pace.MaxDelay = firstPause, longestPause
	conn, err := grpc.NewClient("dns:///"+hostPort(u), grpc.WithTransportCredentials(transport), grpc.WithConnectParams(grpc.ConnectParams{Backoff: pace, MinConnectTimeout: time.Duration(o.Timeout)}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(mostAnswer)))
	if err != nil {
		return nil, err
	}
	return &grpcClient{conn: conn, headers: metadata.New(o.Headers)}, nil
}

// hostPort is where gRPC connects to: a URL needs no port, and gRPC's own default is not that of the scheme http.
func hostPort(u *url.URL) string {
	if u.Port() == "" && u.Scheme == "http" {
		return u.Host + ":80"
	}
	return u.Host
}

// mostAnswer bounds the answer of a collector, in bytes.
const mostAnswer = 1 << 20

// grpcClient is OTLP over gRPC.
type grpcClient struct {
	conn    *grpc.ClientConn
	headers metadata.MD
}

func (c *grpcClient) send(ctx context.Context, s signal, request, answer proto.Message) error {
	return c.conn.Invoke(metadata.NewOutgoingContext(ctx, c.headers), "/"+s.service+"/Export", request, answer)
}

func (c *grpcClient) close() { _ = c.conn.Close() } // nobody uses it any more

// httpClient is OTLP over HTTP, with protobuf.
type httpClient struct {
	url     *url.URL
	headers map[string]string
	client  *http.Client
}

func (c *httpClient) send(ctx context.Context, s signal, request, answer proto.Message) error {
	body, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url.JoinPath(s.path).String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, value := range c.headers {
		post.Header.Set(name, value)
	}
	post.Header.Set("Content-Type", protobufType)
	got, err := c.client.Do(post)
	if err != nil {
		return &brokenError{err}
	}
	defer func() { _ = got.Body.Close() }() // it was read
	text, err := io.ReadAll(io.LimitReader(got.Body, mostAnswer))
	switch {
	case err != nil:
		return &brokenError{err}
	case got.StatusCode/100 != 2:
		return newStatusError(got, text)
	}
	return proto.Unmarshal(text, answer)
}

func (c *httpClient) close() { c.client.CloseIdleConnections() }

const protobufType = "application/x-protobuf"

// brokenError is a request that HTTP has no answer to.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// statusError is an answer of HTTP that takes nothing.
type statusError struct {
	code  int
	again time.Duration // from Retry-After
	text  string
}

func newStatusError(got *http.Response, body []byte) *statusError {
	e := &statusError{code: got.StatusCode, text: got.Status}
	if seconds, err := strconv.Atoi(got.Header.Get("Retry-After")); err == nil {
		e.again = time.Duration(seconds) * time.Second
	}
	if strings.HasPrefix(got.Header.Get("Content-Type"), "text/plain") {
		e.text += ": " + words.Cut(strings.TrimSpace(string(body)))
	}
	return e
}

func (e *statusError) Error() string {
	if e.code == http.StatusNotFound {
		return fmt.Sprintf("%s: nothing takes OTLP over HTTP there; is the port that of gRPC, or is a part of the path too much?", e.text)
	}
	return e.text
}

// mostWish bounds how long a collector may want to be left alone.
const mostWish = time.Minute

// partialError is an answer that takes only a part.
type partialError struct {
	refused int64
	why     string
}

func (e *partialError) Error() string {
	return fmt.Sprintf("%d of them are refused: %s", e.refused, e.why)
}

// passing reports whether what a request failed with may pass, as the protocol has it, and how long the collector
// wants to be left alone.
func passing(err error) (wish time.Duration, passes bool) {
	if answer, ok := errors.AsType[*statusError](err); ok {
		return min(answer.again, mostWish), slices.Contains([]int{http.StatusTooManyRequests, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout}, answer.code)
	}
	if _, ok := errors.AsType[*brokenError](err); ok {
		return 0, true
	}
	s, ok := status.FromError(err)
	if !ok {
		return 0, false
	}
	for _, detail := range s.Details() {
		if retry, ok := detail.(*errdetails.RetryInfo); ok {
			return min(retry.GetRetryDelay().AsDuration(), mostWish), true
		}
	}
	return 0, slices.Contains([]codes.Code{codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange,
		codes.Unavailable, codes.DataLoss}, s.Code())
}
