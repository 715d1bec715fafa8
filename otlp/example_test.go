package otlp_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	logs "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/otlp"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// The plugin logs with log/slog, and knows nothing of a collector. Here that is a small server, which prints
// warnings.
func ExampleRun() {
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		var request logs.ExportLogsServiceRequest
		body, err := io.ReadAll(req.Body)
		if err != nil || proto.Unmarshal(body, &request) != nil {
			return
		}
		for _, resource := range request.GetResourceLogs() {
			for _, r := range resource.GetScopeLogs()[0].GetLogRecords() {
				if r.GetSeverityText() == "WARN" {
					name := resource.GetResource().GetAttributes()[1] // after the name of the machine
					fmt.Println(req.URL.Path, name.GetKey(), name.GetValue().GetStringValue(), r.GetBody().GetStringValue())
				}
			}
		}
	}))
	defer collector.Close()
	settings := config.Telemetry{OTLP: config.OTLP{Endpoint: collector.URL, Flush: config.Duration(1 << 40)}}
	err := otlp.Run(context.Background(), settings, func(ctx context.Context) error {
		options := host.Options{Log: slog.New(slog.DiscardHandler)}
		return host.OpenNursery(ctx, options, func(ctx context.Context, n *host.Nursery) error {
			greeter := host.Spec{Name: "greeter", Command: []string{os.Args[0]}, Env: map[string]string{roleVar: "speaking"}}
			for _, spec := range otlp.Equip(ctx, []host.Spec{greeter}) {
				if _, err := n.Start(ctx, spec); err != nil {
					return err
				}
			}
			if _, err := speak.Call(ctx, directory.ByName(ctx, "greeter"), "hello"); err != nil {
				return err
			}
			n.Cancel()
			return nil
		})
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// /v1/logs service.name greeter hello
}
