// Command bareapp starts bareplugin and uses it.
package main

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/examples/grpc/shared"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(program string) error {
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  shared.Handshake,
		Plugins:          plugin.PluginSet{shared.PluginGRPC: &shared.KVGRPCPlugin{}},
		Cmd:              exec.Command(program),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
	})
	defer client.Kill()
	connection, err := client.Client()
	if err != nil {
		return err
	}
	raw, err := connection.Dispense(shared.PluginGRPC)
	if err != nil {
		return err
	}
	store := raw.(shared.KV)
	if err := store.Put("greeting", []byte("hello")); err != nil {
		return err
	}
	value, err := store.Get("greeting")
	if err != nil {
		return err
	}
	fmt.Println(string(value))
	_, err = store.Get("farewell")
	fmt.Println(err)
	return nil
}
