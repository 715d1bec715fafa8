package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
	"github.com/seed-2ba35074/trellis/internal/document"
)

// shownHosts is the document of host hosts.
type shownHosts struct {
	Version int         `json:"version"`
	Hosts   []shownHost `json:"hosts"`
}

// shownHost is a member of a registry, with the names that it holds.
type shownHost struct {
	fleet.Member
	Holds []fleet.Entry `json:"holds"`
}

func newHosts(p *program) *cobra.Command {
	var timeout time.Duration
	cmd := p.outputFlag(&cobra.Command{
		Use:   "hosts",
		Short: "List the hosts in the registry of a config file, and the trees that they hold",
		Long: "List the members of the registry that the config file names (fleet.registry): agents by the name of their host, and roots\n" +
			"of trees as HOST:TREE, with the names that they hold. It takes a command with the driver: see docs/machines.md.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tree, err := p.load(cmd.Context(), read.Options{})
			if err != nil {
				return err
			}
			if tree.Fleet.Registry.Driver == "" {
				return &usageError{fmt.Errorf("%s has no fleet.registry", p.settings.GetString("config"))}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			hosts, err := p.members(ctx, tree)
			if err != nil {
				return err
			}
			return p.showHosts(hosts)
		},
	})
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Second, "how long to wait for the registry")
	return cmd
}

// members reads what is in the registry of a tree.
func (p *program) members(ctx context.Context, tree *config.Tree) (hosts []shownHost, err error) {
	tree.Fleet.Registry.Dir, tree.Fleet.Registry.Peers = "", nil // a server is not started to be asked
	r, err := p.openRegistry(ctx, tree)
	if err != nil {
		return nil, err
	}
	defer func() { err = cmp.Or(err, r.Close()) }()
	if _, err := r.Hosts(ctx); err != nil { // it says why the registry cannot be asked, where a watch waits until it can
		return nil, err
	}
	of := map[uint64]*shownHost{}
	for change, err := range r.Watch(ctx, "") {
		if err != nil {
			return nil, err
		}
		if change.Kind == fleet.Current {
			break
		}
		h := of[change.Holder.Epoch]
		if h == nil {
			h = &shownHost{change.Holder, []fleet.Entry{}}
			of[change.Holder.Epoch] = h
		}
		if !strings.HasPrefix(change.Name, fleet.HostPrefix) {
			h.Holds = append(h.Holds, change.Entry)
		}
	}
	for _, h := range of {
		hosts = append(hosts, *h)
	}
	slices.SortFunc(hosts, func(a, b shownHost) int { return cmp.Compare(a.Name, b.Name) })
	return hosts, nil
}

func (p *program) showHosts(hosts []shownHost) error {
	if p.output == "json" {
		return p.printJSON(shownHosts{document.Version, hosts})
	}
	tab := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tab, "HOST\tADDRESS\tEPOCH\tCAPACITY\tLABELS\tHOLDS") // Flush reports it
	for _, h := range hosts {
		var labels, names []string
		for _, k := range slices.Sorted(maps.Keys(h.Labels)) {
			labels = append(labels, k+"="+h.Labels[k])
		}
		for _, e := range h.Holds {
			names = append(names, e.Name)
		}
		capacity := "-"
		switch {
		case h.Draining:
			capacity = "draining"
		case h.Capacity > 0:
			capacity = strconv.Itoa(h.Capacity)
		}
		_, _ = fmt.Fprintf(tab, "%s\t%s\t%d\t%s\t%s\t%s\n", h.Name, orDash(h.Address), h.Epoch, capacity, orDash(strings.Join(labels, ",")), orDash(strings.Join(names, ",")))
	}
	return tab.Flush()
}

func orDash(s string) string { return cmp.Or(s, "-") }

// registryOf opens the registry that a tree names, if it does, for the tree's host, and gives what closes it.
func (p *program) registryOf(ctx context.Context, tree *config.Tree, machines *host.Fleet) (done func() error, err error) {
	if tree.Fleet.Registry.Driver == "" {
		return func() error { return nil }, nil
	}
	r, err := p.openRegistry(ctx, tree)
	if err != nil {
		return nil, err
	}
	machines.Registry, machines.Host, machines.OnRegistryLoss = r, tree.Fleet.Host, tree.Fleet.OnRegistryLoss
	return r.Close, nil
}

// openRegistry opens the registry that a config file names. Folders are relative to that of the file.
func (p *program) openRegistry(ctx context.Context, tree *config.Tree) (fleet.Registry, error) {
	f := tree.Fleet
	s := fleet.Settings{
		Driver: f.Registry.Driver, Endpoints: f.Registry.Endpoints, TTL: time.Duration(f.Registry.TTL), Credentials: p.beside(cmp.Or(f.Registry.Credentials, f.Credentials)),
		Name: f.Host, Dir: p.beside(f.Registry.Dir), Listen: f.Registry.Listen, Peers: f.Registry.Peers,
		Log: func(message string, err error) {
			if err != nil {
				message += ": " + err.Error()
			}
			p.progress.step("registry: " + message)
		},
	}
	if s.Name == "" && f.Credentials != "" {
		credentials, err := fleet.LoadCredentials(p.beside(f.Credentials))
		if err != nil {
			return nil, err
		}
		s.Name = credentials.Host()
	}
	r, err := fleet.Open(ctx, s)
	if unknown, ok := errors.AsType[*fleet.UnknownDriverError](err); ok {
		return nil, &usageError{fmt.Errorf("fleet.registry.driver: %w", unknown)}
	}
	return r, err
}
