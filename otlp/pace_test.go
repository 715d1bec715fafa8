package otlp

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
)

// A program that sends more than its pace is told to come again, and after that it may.
func TestO04_Pace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{senders: map[string]*sender{}}
		env := r.equip("", []config.Actor{{Name: "flood", GoPlugin: &config.GoPlugin{}}})[0].Env
		_, secret, _ := strings.Cut(env["OTEL_EXPORTER_OTLP_HEADERS"], "=")
		taken := 0
		handler := r.admit(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			req.Context().Value(senderKey{}).(*sender).spend(3 << 20)
			taken++
		}))
		ask := func() *httptest.ResponseRecorder {
			req, w := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/v1/logs", http.NoBody), httptest.NewRecorder()
			req.Header.Set(secretHeader, secret)
			handler.ServeHTTP(w, req)
			return w
		}
		ask()
		ask()
		if w := ask(); taken != 2 || w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" {
			t.Errorf("O04: after 6 MiB at once %d were taken; status %d", taken, w.Code)
		}
		time.Sleep(time.Second)
		if w := ask(); taken != 3 || w.Code != http.StatusOK {
			t.Errorf("O04: a second later %d were taken; status %d", taken, w.Code)
		}
	})
}
