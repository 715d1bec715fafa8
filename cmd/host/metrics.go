package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/internal/rundir"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/prometheus"
)

// metricsServer answers Prometheus while a tree is served. Whoever has made it ends it.
type metricsServer struct {
	listener net.Listener
	local    bool // only this machine can reach it, and so only its own names for itself are answered
	release  func()
}

// Bounds of a request.
const (
	mostHeader  = 8 << 10
	headerBound = 5 * time.Second
	answerBound = 10 * time.Second
)

// listenMetrics listens where Prometheus is to ask: HOST:PORT, of this machine's own network unless anywhere is set, or
// unix:PATH, in a folder that is closed to others. There is no server for "".
func listenMetrics(ctx context.Context, address string, anywhere bool) (_ *metricsServer, err error) {
	s := &metricsServer{local: !anywhere, release: func() {}}
	path, unix := strings.CutPrefix(address, "unix:")
	switch {
	case address == "":
		return nil, nil //nolint:nilnil // a server that is nil serves nothing
	case unix:
		s.local = false // whoever reaches it is this user
		err = s.listenUnix(path)
	default:
		if err = checkLocal(address); err == nil || anywhere {
			var listening net.ListenConfig
			s.listener, err = listening.Listen(ctx, "tcp", address)
		}
	}
	if err != nil {
		return nil, &usageError{fmt.Errorf("--metrics: %w", err)}
	}
	return s, nil
}

// listenUnix makes a socket as that is at which programs join: in a folder of this user's alone, in the place of one that
// was left.
func (s *metricsServer) listenUnix(path string) error {
	path, err := rundir.Socket(path)
	if err != nil {
		return err
	}
	release, err := rundir.Occupy(path)
	if err != nil {
		return err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		release(false)
		return err
	}
	listener.SetUnlinkOnClose(false) // release does it
	s.listener, s.release = listener, func() { release(true) }
	return nil
}

// checkLocal is why an address cannot be reached from this machine alone.
func checkLocal(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("expected HOST:PORT or unix:PATH: %w", err)
	}
	if isLocal(host) {
		return nil
	}
	return fmt.Errorf("%q can be reached from other machines: expected 127.0.0.1, ::1 or localhost, or unix:PATH; --metrics-anywhere allows it", address)
}

// isLocal reports whether a name or an address is this machine's own, for itself.
func isLocal(host string) bool {
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// serve answers with the numbers of the tree of ctx, until that ends.
func (s *metricsServer) serve(ctx context.Context) {
	if s == nil {
		<-ctx.Done()
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.guarded(prometheus.Handler(ctx)))
	server := &http.Server{Handler: mux, MaxHeaderBytes: mostHeader, ReadHeaderTimeout: headerBound, ReadTimeout: headerBound, WriteTimeout: answerBound}
	serving := task.Start(func() { _ = server.Serve(s.listener) }) // it ends when it is closed
	<-ctx.Done()
	_ = server.Close() // who asks is told by the end of the connection
	serving.Wait()
}

// guarded refuses what was asked under another name than this machine's own: a page of a browser that has the name
// point here.
func (s *metricsServer) guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if s.local && !isLocal(host) {
			http.Error(w, "expected localhost, 127.0.0.1 or ::1 as the host that is asked", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// close ends listening.
func (s *metricsServer) close() {
	if s != nil {
		_ = s.listener.Close() // it may be closed already
		s.release()
	}
}
