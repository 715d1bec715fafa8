package otlp_test

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"testing"

	logs "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	logspb "go.opentelemetry.io/proto/slim/otlp/logs/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/otlp"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

func foreign(t *testing.T, name, role string) host.Spec {
	s := program(t, name, role)
	s.GoPlugin = &config.GoPlugin{Cookie: map[string]string{"COOKIE": "monster"}, Versions: []int{5}, MTLS: config.MTLSOff}
	return s
}

var receiving = config.Telemetry{OTLP: config.OTLP{Receive: true}}

// What a foreign program says over OTLP is told as its actor's, wherever that is in the tree.
func TestO02_ForeignProgramsAreHeard(t *testing.T) {
	tempdir.Use(t)
	middle := program(t, "middle", "speaking")
	middle.Actors = []host.Spec{foreign(t, "cloud", "foreign grpc")}
	actors := []host.Spec{foreign(t, "time", "foreign http"), middle}
	err := otlp.Run(t.Context(), receiving, func(ctx context.Context) error {
		return host.OpenTree(ctx, quiet(), otlp.Equip(ctx, actors), func(ctx context.Context, _ *host.Tree) error {
			want := map[string]bool{"time": true, "middle/cloud": true}
			for r, err := range telemetry.From(ctx).Watch(ctx, telemetry.Filter{Grep: "^created", Follow: true}) {
				if err != nil {
					return err
				}
				if got := r.String(); got != `created logger=provider what="a bucket"` || r.Level.String() != "WARN" || r.Trace != strings.Repeat("01", 16) || r.Span != strings.Repeat("02", 8) {
					t.Errorf("O02: %+v", r)
				}
				if delete(want, r.Actor); len(want) == 0 {
					break
				}
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Equip changes nothing but the environment of foreign programs that have no settings of their own.
func TestO02_Equip(t *testing.T) {
	own, named := foreign(t, "own", "foreign"), foreign(t, "named", "foreign")
	own.Env["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"] = "http://there"
	named.Env["OTEL_SERVICE_NAME"], named.Env["OTEL_METRICS_EXPORTER"] = "x", "otlp"
	actors := []config.Actor{program(t, "plugin", "speaking"), own, named}
	if got := otlp.Equip(t.Context(), actors); len(got[2].Env) != len(named.Env) {
		t.Error("there is no receiver")
	}
	err := otlp.Run(t.Context(), receiving, func(ctx context.Context) error {
		got := otlp.Equip(ctx, actors)
		for i := range 2 {
			if !maps.Equal(got[i].Env, actors[i].Env) {
				t.Errorf("O02: %s has the environment %v", got[i].Name, got[i].Env)
			}
		}
		env := got[2].Env
		if env["OTEL_EXPORTER_OTLP_ENDPOINT"] == "" || env["OTEL_SERVICE_NAME"] != "x" || env["OTEL_METRICS_EXPORTER"] != "otlp" {
			t.Errorf("O02: the environment %v", env)
		}
		other := foreign(t, "other", "foreign")
		again := otlp.Equip(ctx, []config.Actor{named, other})
		if !maps.Equal(again[0].Env, env) || again[1].Env["OTEL_EXPORTER_OTLP_HEADERS"] == env["OTEL_EXPORTER_OTLP_HEADERS"] {
			t.Error("O02: a program has two secrets, or two programs have one")
		}
		if _, changed := named.Env["OTEL_EXPORTER_OTLP_ENDPOINT"]; changed {
			t.Error("O02: the given one was changed")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What is too large, of no form or from strangers is refused, in both protocols, and keeps nobody else from being heard.
func TestO04_HostileSenders(t *testing.T) {
	err := otlp.Run(t.Context(), receiving, func(ctx context.Context) error {
		env := otlp.Equip(ctx, []config.Actor{foreign(t, "bad", "foreign")})[0].Env
		url := env["OTEL_EXPORTER_OTLP_ENDPOINT"]
		header, secret, _ := strings.Cut(env["OTEL_EXPORTER_OTLP_HEADERS"], "=")
		saying := func(text string) *logs.ExportLogsServiceRequest {
			return &logs.ExportLogsServiceRequest{ResourceLogs: []*logspb.ResourceLogs{{ScopeLogs: []*logspb.ScopeLogs{{LogRecords: []*logspb.LogRecord{{SeverityText: text}}}}}}}
		}
		conn, err := grpc.NewClient(strings.TrimPrefix(url, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		defer conn.Close()
		for _, c := range []struct {
			path, secret string
			request      *logs.ExportLogsServiceRequest
			status       int
			code         codes.Code
		}{
			{"/v1/logs", "guessed", saying("a"), http.StatusUnauthorized, codes.Unauthenticated},
			{"/v1/logs", secret, saying(strings.Repeat("a", 1<<20)), http.StatusBadRequest, codes.ResourceExhausted},
			{"/v1/profiles", secret, saying("a"), http.StatusNotFound, codes.Unimplemented},
			{"/v1/logs", secret, saying("a"), http.StatusOK, codes.OK},
		} {
			if got, text, err := postLogs(url+c.path, header, c.secret, c.request); err != nil || got != c.status {
				t.Errorf("O04: %s: status %d, want %d: %v %s", c.path, got, c.status, err, text)
			}
			method := map[string]string{"/v1/logs": "logs.v1.LogsService", "/v1/profiles": "profiles.v1.ProfilesService"}[c.path]
			err := conn.Invoke(metadata.AppendToOutgoingContext(ctx, header, c.secret), "/opentelemetry.proto.collector."+method+"/Export", c.request, new(logs.ExportLogsServiceResponse))
			if status.Code(err) != c.code {
				t.Errorf("O04: %s: %v, want %v", method, err, c.code)
			}
		}
		other := otlp.Equip(ctx, []config.Actor{foreign(t, "good", "foreign")})[0].Env
		_, secret, _ = strings.Cut(other["OTEL_EXPORTER_OTLP_HEADERS"], "=")
		if status, text, err := postLogs(url+"/v1/logs", header, secret, saying("a")); err != nil || status != http.StatusOK {
			t.Errorf("O04: the neighbour is not heard: %d %s %v", status, text, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
