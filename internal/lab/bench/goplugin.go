package bench

import (
	"context"
	"fmt"
	"net/rpc"
	"os/exec"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/goplugin"
)

// startGoPlugin starts a plain plugin as its users do: automatic mutual TLS, and
// otherwise the default options.
func (l *lab) startGoPlugin(subject string, set plugin.PluginSet, protocol plugin.Protocol) (p any, process goPlugin, err error) {
	cmd := l.command(subject)
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: goplugin.Handshake, Plugins: set, Cmd: cmd, AutoMTLS: true,
		AllowedProtocols: []plugin.Protocol{protocol}, Logger: hclog.NewNullLogger(),
	})
	connection, err := client.Client()
	if err == nil {
		p, err = connection.Dispense(goplugin.Name)
	}
	if err != nil {
		client.Kill()
		return nil, goPlugin{}, fmt.Errorf("start the plain plugin: %w", err)
	}
	return p, goPlugin{client, cmd}, nil
}

// goPlugin is the process of a plain plugin.
type goPlugin struct {
	client *plugin.Client
	cmd    *exec.Cmd
}

func (g goPlugin) pids() []int { return []int{g.cmd.Process.Pid} }

func (g goPlugin) stop() error {
	g.client.Kill()
	return nil
}

// netRPCPeer is a started net/rpc plugin.
type netRPCPeer struct {
	goPlugin
	rpc *rpc.Client
}

func (l *lab) startNetRPC(subject string) (peer, error) {
	p, process, err := l.startGoPlugin(subject, goplugin.NetRPC, plugin.ProtocolNetRPC)
	if err != nil {
		return nil, err
	}
	client, ok := p.(*rpc.Client)
	if !ok {
		return nil, fmt.Errorf("go-plugin gave a %T for the net/rpc plugin", p)
	}
	return &netRPCPeer{process, client}, nil
}

func (p *netRPCPeer) call(_ context.Context, payload []byte) (answer []byte, err error) {
	return answer, p.rpc.Call("Plugin.Call", payload, &answer)
}
