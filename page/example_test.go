package page_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/page"
)

// A host program has the page of its tree beside pages of its own, and tells people of it by a link.
func ExampleNew() {
	err := host.OpenNursery(context.Background(), host.Options{}, func(ctx context.Context, _ *host.Nursery) error {
		p := page.New(ctx, page.Options{Token: "secret"}) // for programs
		server := httptest.NewServer(p)
		defer server.Close()
		_ = server.URL + p.Invite() // for a browser, once

		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/tree", http.NoBody)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer secret")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		fmt.Print(string(text))
		return err
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"version":1,"actors":[]}
}
