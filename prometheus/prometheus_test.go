package prometheus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/metrics"
	"github.com/seed-2ba35074/trellis/prometheus"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// asked is what a handler answers.
func asked(h http.Handler) (status int, text string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		panic(err)
	}
	return w.Code, string(body)
}

var greet = contract.Func[string, string]("greet")

// O02: the numbers of a tree are there under names that Prometheus' own rules like.
func TestO02_Exposition(t *testing.T) {
	programs := trellistest.NewPrograms(t, trellistest.Plugin{Name: "greeter", Endpoints: []contract.Handler{
		greet.Handle(func(_ context.Context, name string) (string, error) { return "Hello, " + name, nil }),
	}})
	spec := host.Spec{Name: "greeter", Command: []string{"greeter"}}
	err := host.OpenTree(programs.Context(), host.Options{}, []host.Spec{spec}, func(ctx context.Context, tree *host.Tree) error {
		p, err := tree.Portal("greeter")
		if err != nil {
			return err
		}
		for range 3 {
			if _, err := greet.Call(ctx, p, "Ann"); err != nil {
				return err
			}
		}
		status, text := asked(prometheus.Handler(ctx))
		for _, want := range []string{
			"# TYPE trellis_call_duration_seconds histogram\n",
			`trellis_call_duration_seconds_bucket{actor="greeter",endpoint="greet",le="+Inf"} 3` + "\n",
			`trellis_call_duration_seconds_count{actor="greeter",endpoint="greet"} 3` + "\n",
			`trellis_up{actor="greeter"} 1` + "\n",
			`trellis_restarts_total{actor="greeter"} 0` + "\n",
			`trellis_payload_bytes_total{actor="greeter",direction="in"} `,
			`trellis_process_memory_bytes{actor=""} `,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("O02: %q is not in\n%s", want, text)
			}
		}
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		if len(problems) > 0 || status != http.StatusOK {
			t.Errorf("O02: %d, %v", status, problems)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// O02: numbers that cannot be read are an error of the request, and not zeros; so are those of a ctx without a tree.
func TestO02_NumbersThatCannotBeRead(t *testing.T) {
	if status, text := asked(prometheus.Handler(t.Context())); status != http.StatusInternalServerError || !strings.Contains(text, "has no tree") {
		t.Errorf("O02: %d, %s", status, text)
	}
	ctx := telemetry.WithMeasure(t.Context(), func(context.Context) ([]telemetry.Metrics, error) { return nil, errors.New("out of paper") })
	if status, text := asked(prometheus.Handler(ctx)); status != http.StatusInternalServerError || !strings.Contains(text, "out of paper") {
		t.Errorf("O02: %d, %s", status, text)
	}
}

// O02: what an actor has not said is left out, since a counter that falls to 0 would count for a new one.
func TestO02_SilentActors(t *testing.T) {
	ctx := telemetry.WithMeasure(t.Context(), func(context.Context) ([]telemetry.Metrics, error) {
		return []telemetry.Metrics{
			{Actor: "hung", ID: actor.NewID("hung"), State: "ready", Since: time.Now(), Silent: "it has not answered in time", Deaths: map[string]uint64{"crashed": 2}},
			{Actor: "well", Since: time.Now(), Endpoints: []telemetry.Endpoint{{Name: "slow", Buckets: append(make([]uint64, len(telemetry.Bounds())), 5)}}},
		}, nil
	})
	_, text := asked(prometheus.Handler(ctx))
	for want, there := range map[string]bool{
		`trellis_silent{actor="hung"} 1`: true, `trellis_deaths_total{actor="hung",cause="crashed"} 2`: true,
		`trellis_messages_total{actor="hung"`: false, `trellis_process_memory_bytes{actor="hung"`: false,
		`trellis_call_duration_seconds_bucket{actor="well",endpoint="slow",le="60"} 0`: true, `trellis_call_duration_seconds_count{actor="well",endpoint="slow"} 5`: true,
	} {
		if strings.Contains(text, want) != there {
			t.Errorf("O02: %q is there: %v\n%s", want, !there, text)
		}
	}
}

// The page has the very instruments that there are.
func TestO02_ThePageHasAllInstruments(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Count(string(page), "\n| `trellis.")
	for _, i := range metrics.Instruments() {
		label := i.Label
		if label == "" {
			label = " "
		} else {
			label = " `" + label + "` "
		}
		row := fmt.Sprintf("\n| `%s` | `%s` | %s | %s |%s| %s |", i.Name, prometheus.Name(&i), i.Kind, i.Unit, label, i.Help)
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/metrics.md lacks%s", row)
		}
	}
	if want := len(metrics.Instruments()); rows != want {
		t.Errorf("docs/metrics.md has %d rows, want %d", rows, want)
	}
}
