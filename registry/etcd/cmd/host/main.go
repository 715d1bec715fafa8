// Command host is the command of the root module, with the driver "etcd" of a registry.
package main

import (
	"github.com/seed-2ba35074/trellis/internal/command"
	"github.com/seed-2ba35074/trellis/registry/etcd"
)

func main() {
	etcd.Register()
	command.Main()
}
