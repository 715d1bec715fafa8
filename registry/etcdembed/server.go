package etcdembed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-2ba35074/trellis/fleet"
)

// Server is one member of a cluster, in this process. It owns etcd's goroutines until Close.
type Server struct {
	etcd *embed.Etcd
	once sync.Once
}

// Start starts a server. Of the settings it reads Name, Dir, Listen, Peers, Credentials and Log. A server that has data in Dir goes on
// with those. It returns before the others of its cluster are there; without credentials all addresses
// must be this machine's own.
func Start(s fleet.Settings) (*Server, error) {
	s = s.WithDefaults()
	config, err := configure(s)
	if err != nil {
		return nil, err
	}
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return nil, fmt.Errorf("the registry's server %s: %w", config.Name, err)
	}
	return &Server{etcd: etcd}, nil
}

// Address is where it serves clients, as 127.0.0.1:2379.
func (s *Server) Address() string { return s.etcd.Clients[0].Addr().String() }

// Ready waits until the server is a part of a cluster that has a majority.
func (s *Server) Ready(ctx context.Context) error {
	select {
	case <-s.etcd.Server.ReadyNotify():
		return nil
	case <-s.etcd.Server.StopNotify():
		return errors.New("the registry's server has stopped")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close stops the server. Its data stay.
func (s *Server) Close() { s.once.Do(s.etcd.Close) }

// Bounds of what a server keeps.
const (
	mostBytes     = 256 << 20 // of its database
	mostRevisions = "1000"    // of its history, by which a watcher may be behind
)

func configure(s fleet.Settings) (*embed.Config, error) {
	if s.Dir == "" {
		return nil, errors.New("the registry etcdembed has no dir for its data")
	}
	c := embed.NewConfig()
	c.Name, c.Dir = cmp.Or(s.Name, "registry"), s.Dir
	c.QuotaBackendBytes, c.AutoCompactionMode, c.AutoCompactionRetention = mostBytes, embed.CompactorModeRevision, mostRevisions
	c.SnapshotCount, c.MaxSnapFiles, c.MaxWalFiles = 1000, 2, 2
	c.PreVote, c.Metrics, c.EnableGRPCGateway = true, "basic", false
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger(s.Log))
	scheme := "http"
	if s.Credentials != "" {
		scheme = "https"
		files := transport.TLSInfo{
			CertFile: filepath.Join(s.Credentials, "host.pem"), KeyFile: filepath.Join(s.Credentials, "host.key"),
			TrustedCAFile: filepath.Join(s.Credentials, "ca.pem"), ClientCertAuth: true,
			SkipClientSANVerify: true, // certificates are for hosts of the fleet, and not for addresses
			ServerName:          fleet.ServerName,
		}
		c.ClientTLSInfo, c.PeerTLSInfo = files, files
	}
	listen, err := address(scheme, cmp.Or(s.Listen, "127.0.0.1:0"))
	if err != nil {
		return nil, err
	}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{listen}, []url.URL{listen}
	return c, peers(c, s.Peers, scheme)
}

// peers tells a server of the others; one that has none listens to none.
func peers(c *embed.Config, all map[string]string, scheme string) error {
	if len(all) == 0 {
		c.ListenPeerUrls, c.AdvertisePeerUrls = nil, []url.URL{{Scheme: scheme, Host: "127.0.0.1:0"}}
		c.InitialCluster = c.InitialClusterFromName(c.Name)
		return nil
	}
	if len(all) != 1 && len(all) != 3 && len(all) != 5 {
		return fmt.Errorf("the registry has %d peers; 1, 3 or 5 have a use", len(all))
	}
	if all[c.Name] == "" {
		return fmt.Errorf("the registry's peers are %s, without this server, %s", strings.Join(slices.Sorted(maps.Keys(all)), ", "), c.Name)
	}
	var cluster []string
	for name, peer := range all {
		u, err := address(scheme, peer)
		if err != nil {
			return err
		}
		cluster = append(cluster, name+"="+u.String())
		if name == c.Name {
			c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{u}, []url.URL{u}
		}
	}
	slices.Sort(cluster)
	c.InitialCluster = strings.Join(cluster, ",")
	return nil
}

// address is a URL; without TLS only one of this machine's own.
func address(scheme, hostport string) (url.URL, error) {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return url.URL{}, fmt.Errorf("the registry's address %q: %w", hostport, err)
	}
	ip := net.ParseIP(host)
	switch {
	case ip == nil:
		return url.URL{}, fmt.Errorf("the registry's address %q has no IP address", hostport)
	case scheme == "http" && !ip.IsLoopback():
		return url.URL{}, fmt.Errorf("the registry's address %s is reached from other machines, and there are no credentials", hostport)
	}
	return url.URL{Scheme: scheme, Host: hostport}, nil
}

// told hands on what etcd says.
type told func(message string, err error)

func (t told) Write(p []byte) (int, error) {
	t("etcd: "+strings.TrimSpace(string(p)), nil)
	return len(p), nil
}

// logger tells errors; of the same in one second only the first, and one in a thousand.
func logger(log told) *zap.Logger {
	encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "message", ConsoleSeparator: " "})
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(log)), zapcore.ErrorLevel)
	return zap.New(zapcore.NewSamplerWithOptions(core, 1e9, 1, 1000))
}
