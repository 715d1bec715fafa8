package otlp_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/otlp"
)

func TestO02_Environment(t *testing.T) {
	for _, c := range []struct {
		name    string
		o, want config.OTLP
		env     map[string]string
		err     string
	}{
		{
			name: "all of it",
			env: map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": "http://there", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_HEADERS": "a=b%20c, d = e=f,", "OTEL_EXPORTER_OTLP_TIMEOUT": "1500", "OTEL_METRIC_EXPORT_INTERVAL": "5000",
				"OTEL_RESOURCE_ATTRIBUTES": "service.name=x,zone=eu", "OTEL_SERVICE_NAME": "shop",
			},
			want: config.OTLP{
				Endpoint: "http://there", Protocol: config.GRPC, Headers: map[string]string{"a": "b c", "d": "e=f"}, Timeout: config.Duration(1500 * time.Millisecond), Interval: config.Duration(5 * time.Second),
				Resource: map[string]string{"service.name": "shop", "zone": "eu"},
			},
		},
		{
			name: "what was given comes first",
			o:    config.OTLP{Endpoint: "http://here", Headers: map[string]string{"a": "1"}, Timeout: 5},
			env:  map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://there", "OTEL_EXPORTER_OTLP_HEADERS": "a=2,b=3", "OTEL_EXPORTER_OTLP_TIMEOUT": "1500"},
			want: config.OTLP{Endpoint: "http://here", Headers: map[string]string{"a": "1", "b": "3"}, Timeout: 5, Resource: map[string]string{}},
		},
		{name: "off", env: map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://there"}},
		{name: "no time", env: map[string]string{"OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, err: `OTEL_EXPORTER_OTLP_TIMEOUT: expected milliseconds, got "10s"`},
		{name: "no interval", env: map[string]string{"OTEL_METRIC_EXPORT_INTERVAL": "1m"}, err: `OTEL_METRIC_EXPORT_INTERVAL: expected milliseconds, got "1m"`},
		{name: "no pairs", env: map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "secret"}, err: `OTEL_EXPORTER_OTLP_HEADERS: expected name=value pairs with commas between them, and with %20 for a space`},
	} {
		got, err := otlp.FromEnvironment(c.o, func(name string) (string, bool) { value, is := c.env[name]; return value, is })
		if err != nil || c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%s: %v, want %s", c.name, err, c.err)
			}
		} else if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}
