// Command host is the command of the root module, with the drivers "etcd" and "etcdembed" of a registry.
package main

import (
	"github.com/seed-2ba35074/trellis/internal/command"
	"github.com/seed-2ba35074/trellis/registry/etcd"
	"github.com/seed-2ba35074/trellis/registry/etcdembed"
)

func main() {
	etcd.Register()
	etcdembed.Register()
	command.Main()
}
