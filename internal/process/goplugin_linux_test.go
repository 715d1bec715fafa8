package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
)

var handshakeConfig = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "PROCESS_TEST_COOKIE", MagicCookieValue: "yes"}

// empty is a plugin that serves nothing.
type empty struct{ plugin.NetRPCUnsupportedPlugin }

func (empty) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error { return nil }
func (empty) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return struct{}{}, nil
}

func init() {
	role("serve", func(string) {
		plugin.Serve(&plugin.ServeConfig{
			HandshakeConfig: handshakeConfig,
			Plugins:         plugin.PluginSet{"empty": empty{}},
			GRPCServer:      plugin.DefaultGRPCServer,
			Logger:          hclog.NewNullLogger(),
		})
	})
}

// client is a go-plugin client over a child that does the words.
func client(t *testing.T, autoMTLS bool, words ...string) (*plugin.Client, func() *Process, *lines) {
	t.Helper()
	leaves(t)
	l := &lines{ch: make(chan string, 100)}
	spec := child0(words...)
	spec.Log = l.log
	var p *Process
	var sockets string
	c := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  handshakeConfig,
		Plugins:          plugin.PluginSet{"empty": empty{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         autoMTLS,
		SkipHostEnv:      true,
		StartTimeout:     patience,
		Stderr:           io.Discard,
		Logger:           hclog.NewNullLogger(),
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, dir string) (runner.Runner, error) {
			sockets = dir
			p = New(spec, cmd)
			return p.Runner(), nil
		},
	})
	t.Cleanup(func() {
		c.Kill()
		<-p.Flushed()
		if _, err := os.Stat(sockets); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket directory is still there: %v", err)
		}
	})
	return c, func() *Process { return p }, l
}

func TestN15_GoPluginServes(t *testing.T) {
	for _, autoMTLS := range []bool{false, true} {
		t.Run(fmt.Sprint("tls ", autoMTLS), func(t *testing.T) {
			c, p, _ := client(t, autoMTLS, "hold", "serve")
			conn, err := c.Client()
			if err != nil {
				t.Fatal(err)
			}
			if err := conn.Ping(); err != nil {
				t.Error(err)
			}
			c.Kill()
			if exit := ended(t, p()); !exit.Success() || !c.Exited() {
				t.Errorf("exit = %+v, %v", exit, c.Exited())
			}
		})
	}
}

func TestF03_GoPluginIsToldWhatCame(t *testing.T) {
	cert := strings.Repeat("Q", 100)
	for name, c := range map[string]struct {
		words []string
		says  string
	}{
		"other text":          {[]string{`out:hello\n`, "block"}, `got \"hello\"`},
		"no line end":         {[]string{"flood:10000", "block"}, "0123456789abcde"},
		"too long":            {[]string{"out:" + strings.Repeat("1|", maxHandshake/2) + "1", "block"}, "longer than 4096"},
		"binary":              {[]string{`out:1|1|unix|\x00\xff\n`, "block"}, "not printable text"},
		"certificate, no TLS": {[]string{"out:1|1|unix|/tmp/x|grpc|" + cert + `\n`, "block"}, "not asked for"},
		"exits early":         {[]string{`err:cookie is missing\n`, "exit:3"}, "exit code 3\n  stderr: cookie is missing"},
		"other version":       {[]string{`out:1|77|unix|/tmp/x|grpc\n`, "block"}, "incompatible API version"},
		"panicking stderr":    {[]string{`err:{\"@message\": 1}\n`, "exit:1"}, "exit code 1"},
	} {
		t.Run(name, func(t *testing.T) {
			client, p, _ := client(t, false, c.words...)
			_, err := client.Start() // a start that waits for more runs into StartTimeout, and says that instead
			if err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(c.says, `\"`, `"`)) {
				t.Errorf("Start = %v\nexpected to read %q", err, c.says)
			}
			<-p().Done() // go-plugin kills what did not start
		})
	}
}

func TestN06_GoPluginStartIsCancelledByKill(t *testing.T) {
	c, p, l := client(t, false, `err:up\n`, "block")
	started := make(chan error)
	go func() {
		_, err := c.Start()
		started <- err
	}()
	l.expect(t, "up")
	if err := p().Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err == nil || !strings.Contains(err.Error(), "signal 9") {
		t.Error(err)
	}
}
