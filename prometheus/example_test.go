package prometheus_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/prometheus"
)

// A host program shows the numbers of its tree at an address of its own.
func ExampleHandler() {
	err := host.OpenNursery(context.Background(), host.Options{}, func(ctx context.Context, _ *host.Nursery) error {
		mux := http.NewServeMux()
		mux.Handle("/metrics", prometheus.Handler(ctx))
		server := httptest.NewServer(mux)
		defer server.Close()

		answer, err := http.Get(server.URL + "/metrics")
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "trellis_up") {
				fmt.Println(lines.Text())
			}
		}
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// trellis_up{actor=""} 1
}
