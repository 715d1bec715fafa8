package otlp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	logs "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/slim/otlp/logs/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	grpcgzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

type none = struct{}

// roleVar makes the test binary a program of a tree.
const roleVar = "OTLP_TEST_ROLE"

var speak = contract.Func[string, none]("speak")

func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "speaking":
		sdk.Plugin{Hosts: host.Subtree, Endpoints: []contract.Handler{
			speak.Handle(func(ctx context.Context, word string) (none, error) {
				slog.With("n", 7).WarnContext(ctx, word)
				return none{}, nil
			}),
		}}.Serve()
		return
	case "foreign http", "foreign grpc":
		serveForeign()
		return
	}
	os.Exit(m.Run())
}

// program is a spec of this binary in a role.
func program(t testing.TB, name, role string) host.Spec {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	long := config.Duration(time.Minute)
	return host.Spec{
		Name: name, Command: []string{self}, Env: map[string]string{roleVar: role, "GORACE": "atexit_sleep_ms=0"},
		StartTimeout: long, CancelTimeout: long, Health: config.Health{Timeout: long},
	}
}

// serveForeign is a program that knows the least of go-plugin's protocol, nothing of Trellis, and the variables
// of OpenTelemetry. It sends one record before it serves.
func serveForeign() {
	if err := errors.Join(sendForeign(), handshake()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func handshake() error {
	ln, err := net.Listen("unix", filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "foreign"))
	if err != nil {
		return err
	}
	fmt.Printf("1|5|unix|%s|grpc\n", ln.Addr())
	return grpc.NewServer().Serve(ln)
}

func sendForeign() error {
	endpoint, err := url.Parse(os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	if err != nil {
		return err
	}
	key, value, _ := strings.Cut(os.Getenv("OTEL_EXPORTER_OTLP_HEADERS"), "=")
	request := &logs.ExportLogsServiceRequest{ResourceLogs: []*logspb.ResourceLogs{{ScopeLogs: []*logspb.ScopeLogs{{
		Scope: &commonpb.InstrumentationScope{Name: "provider"},
		LogRecords: []*logspb.LogRecord{{
			TimeUnixNano: uint64(time.Now().UnixNano()), SeverityNumber: logspb.SeverityNumber_SEVERITY_NUMBER_WARN,
			Body: text("created"), TraceId: bytes.Repeat([]byte{1}, 16), SpanId: bytes.Repeat([]byte{2}, 8),
			Attributes: []*commonpb.KeyValue{{Key: "what", Value: text("a bucket")}},
		}},
	}}}}}
	if os.Getenv(roleVar) == "foreign grpc" {
		conn, err := grpc.NewClient(endpoint.Host, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.UseCompressor(grpcgzip.Name)))
		if err != nil {
			return err
		}
		defer conn.Close()
		ctx := metadata.AppendToOutgoingContext(context.Background(), key, value)
		return conn.Invoke(ctx, "/opentelemetry.proto.collector.logs.v1.LogsService/Export", request, new(logs.ExportLogsServiceResponse))
	}
	status, answer, err := postLogs(endpoint.JoinPath("v1/logs").String(), key, value, request)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", status, answer)
	}
	return err
}

// postLogs sends a request over HTTP, compressed.
func postLogs(to, header, value string, request proto.Message) (status int, answer string, err error) {
	text, err := proto.Marshal(request)
	if err != nil {
		return 0, "", err
	}
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	_, err = zip.Write(text)
	if err := errors.Join(err, zip.Close()); err != nil {
		return 0, "", err
	}
	post, err := http.NewRequest(http.MethodPost, to, &zipped)
	if err != nil {
		return 0, "", err
	}
	post.Header.Set(header, value)
	post.Header.Set("Content-Type", "application/x-protobuf")
	post.Header.Set("Content-Encoding", "gzip")
	got, err := http.DefaultClient.Do(post)
	if err != nil {
		return 0, "", err
	}
	defer got.Body.Close()
	all, err := io.ReadAll(got.Body)
	return got.StatusCode, string(all), err
}

func text(s string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
}
