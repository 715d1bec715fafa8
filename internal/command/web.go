package command

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/internal/loopback"
	"github.com/seed-2ba35074/trellis/internal/rundir"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/page"
	"github.com/seed-2ba35074/trellis/prometheus"
)

// webServer answers HTTP while a tree runs. Whoever has made it ends it.
type webServer struct {
	listener net.Listener
	local    bool // only this machine can reach it, and so only its own names for itself are answered
	release  func()
	bound    time.Duration                                        // of an answer; 0: it has its own
	handler  func(ctx context.Context, s *webServer) http.Handler // ctx is in the tree
}

// Bounds of a request.
const (
	mostHeader  = 8 << 10
	headerBound = 5 * time.Second
	answerBound = 10 * time.Second
)

// listen listens where a flag says: HOST:PORT, of this machine's own network unless anywhere is set, or
// unix:PATH, in a folder that is closed to others.
func listen(ctx context.Context, flag, address string, anywhere bool, handler func(context.Context, *webServer) http.Handler) (_ *webServer, err error) {
	s := &webServer{local: !anywhere, release: func() {}, handler: handler}
	path, unix := strings.CutPrefix(address, "unix:")
	switch {
	case unix:
		s.local = false // whoever reaches it is this user
		err = s.listenUnix(path)
	default:
		if err = checkLocal(address, flag); err == nil || anywhere {
			var listening net.ListenConfig
			s.listener, err = listening.Listen(ctx, "tcp", address)
		}
	}
	if err != nil {
		return nil, &usageError{fmt.Errorf("%s: %w", flag, err)}
	}
	return s, nil
}

// listenUnix makes a socket as that is at which programs join: in a folder of this user's alone, in the place of one that
// was left.
func (s *webServer) listenUnix(path string) error {
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
func checkLocal(address, flag string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("expected HOST:PORT or unix:PATH: %w", err)
	}
	if loopback.Is(host) {
		return nil
	}
	return fmt.Errorf("%q can be reached from other machines: expected 127.0.0.1, ::1 or localhost, or unix:PATH; %s-anywhere allows it", address, flag)
}

// webServers are those of a tree.
type webServers []*webServer

// serve answers about the tree of ctx, until the end of that, or stop.
func (all webServers) serve(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var serving task.Group
	for _, s := range all {
		serving.Go(func() { s.serve(ctx) })
	}
	return func() {
		cancel()
		serving.Close()
	}
}

func (s *webServer) serve(ctx context.Context) {
	server := &http.Server{Handler: s.handler(ctx, s), MaxHeaderBytes: mostHeader, ReadHeaderTimeout: headerBound, ReadTimeout: headerBound, WriteTimeout: s.bound}
	serving := task.Start(func() { _ = server.Serve(s.listener) }) // it ends when it is closed
	<-ctx.Done()
	_ = server.Close() // who asks is told by the end of the connection
	serving.Wait()
}

// close ends listening.
func (all webServers) close() {
	for _, s := range all {
		_ = s.listener.Close() // it may be closed already
		s.release()
	}
}

// metricsFlags are those by which a tree answers Prometheus.
func metricsFlags(cmd *cobra.Command) func(ctx context.Context, web *webServers) error {
	address := cmd.Flags().String("metrics", "", "serve the numbers of the tree for Prometheus at HOST:PORT or unix:PATH, under /metrics")
	anywhere := cmd.Flags().Bool("metrics-anywhere", false, "let --metrics have an address that other machines reach")
	return func(ctx context.Context, web *webServers) error {
		if *address == "" {
			return nil
		}
		s, err := listen(ctx, "--metrics", *address, *anywhere, serveMetrics)
		if err == nil {
			s.bound = answerBound
			*web = append(*web, s)
		}
		return err
	}
}

// uiToken is the variable that programs' token for the page is in: an argument could be read by others.
const uiToken = "TRELLIS_UI_TOKEN"

// pageFlags are those by which a tree has a page, with a plan if there is one.
func (p *program) pageFlags(cmd *cobra.Command) func(ctx context.Context, web *webServers, plan func(context.Context) (any, error)) error {
	address := cmd.Flags().String("ui", "", "show the tree in a browser, and serve its calls over HTTP, at HOST:PORT or unix:PATH, and print a link that lets one browser in; without an address, at a free port of this machine's own network")
	cmd.Flags().Lookup("ui").NoOptDefVal = "127.0.0.1:0"
	anywhere := cmd.Flags().StringSlice("ui-anywhere", nil, "let --ui have an address that other machines reach, under these names")
	readOnly := cmd.Flags().Bool("ui-read-only", false, "let nobody call, restart or cancel over --ui")
	return func(ctx context.Context, web *webServers, plan func(context.Context) (any, error)) error {
		if *address == "" {
			return nil
		}
		o := page.Options{Token: os.Getenv(uiToken), ReadOnly: *readOnly, Hosts: *anywhere, Plan: plan}
		s, err := listen(ctx, "--ui", *address, len(*anywhere) > 0, func(ctx context.Context, s *webServer) http.Handler {
			shown := page.New(ctx, o)
			p.progress.step("page: " + s.base() + shown.Invite())
			return shown
		})
		if err == nil {
			*web = append(*web, s)
		}
		return err
	}
}

// compared gives what host plan says of the config file, as it is when somebody asks. Packages are built for that, for
// one who asks at a time.
func (p *program) compared(plans *planner) func(ctx context.Context) (any, error) {
	one := make(chan struct{}, 1)
	return func(ctx context.Context) (any, error) {
		select {
		case one <- struct{}{}:
			defer func() { <-one }()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		tree, file, err := p.wanted(ctx)
		if err == nil {
			file.Programs, err = p.buildPackages(ctx, file.Folder, packagesOf(tree.Actors))
		}
		if err != nil {
			return nil, err
		}
		return plans.change(ctx, file, false)
	}
}

// base is where the server is asked, but for the path.
func (s *webServer) base() string {
	at := s.listener.Addr()
	if at.Network() == "unix" {
		return "http://localhost (unix:" + at.String() + ")"
	}
	return "http://" + at.String()
}

// serveMetrics answers Prometheus.
func serveMetrics(ctx context.Context, s *webServer) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.guarded(prometheus.Handler(ctx)))
	return mux
}

// guarded refuses what was asked under another name than this machine's own: a page of a browser that has the name
// point here.
func (s *webServer) guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.local && !loopback.Is(loopback.Name(r.Host)) {
			http.Error(w, "expected localhost, 127.0.0.1 or ::1 as the host that is asked", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}
