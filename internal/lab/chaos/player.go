//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/self"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// The variables that make this program one of the tree's.
const (
	roleVar   = "CHAOS_ROLE"
	nameVar   = "CHAOS_NAME"
	socketVar = "CHAOS_SOCKET"

	rolePlugin = "plugin"
	roleRoot   = "root"
	roleFrail  = "frail" // a plugin that dies when it is called
)

// Exit codes.
const (
	exitNoDriver = 9 // of processes whose driver is gone
	exitFrail    = 3 // of the frail plugin
)

// player is an actor of the tree, in its own process.
type player struct {
	name, short string
	up          *uplink
	ctx         context.Context //nolint:containedctx // of the running actor, for what the driver commands
	ready       chan struct{}   // ctx is set
}

// play plays the role that the environment names. It does not return.
func play(role string) {
	if role == roleFrail {
		sdk.Serve(die.Handle(func(context.Context, none) (none, error) {
			os.Exit(exitFrail)
			return none{}, nil
		}))
	}
	p := &player{name: os.Getenv(nameVar), short: ownShort(), ready: make(chan struct{})}
	up, err := dialDriver(p.name, p.short)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitNoDriver)
	}
	p.up = up
	task.Start(func() { up.commands(p.obey) }) // it ends the process
	if role == roleRoot {
		os.Exit(p.playRoot())
	}
	fmt.Fprintln(os.Stderr, "a first line, so that all that reads lines has begun to")
	sdk.Plugin{Endpoints: p.served(), Hosts: p.host}.Serve()
}

// ownShort is the short form of a plugin's identity, which stands in its title.
func ownShort() string {
	title, err := os.ReadFile("/proc/self/cmdline")
	if err != nil {
		panic(err) // Linux has it
	}
	_, after, _ := strings.Cut(string(title), "@")
	short, _, _ := strings.Cut(after, "]")
	return short
}

// host is host.Subtree, with load, and with endpoints for the children.
func (p *player) host(ctx context.Context, text []byte, serve func(ctx context.Context) error) error {
	var part config.Tree
	if err := json.Unmarshal(text, &part); err != nil {
		return err
	}
	return p.openTree(ctx, host.Options{Supervision: part.Supervision}, part.Actors, serve)
}

// openTree hosts children and loads them while serve runs.
func (p *player) openTree(ctx context.Context, o host.Options, actors []host.Spec, serve func(ctx context.Context) error) error {
	ctx = host.WithEvents(ctx)
	o.Endpoints = p.exposed()
	following, unfollow := context.WithCancel(ctx)
	events := task.Start(func() { p.followEvents(following) })
	defer events.Wait()
	defer unfollow()
	return host.OpenTree(ctx, o, actors, func(ctx context.Context, t *host.Tree) error {
		if id, ok := self.From(ctx); ok && p.short == "" {
			p.short = id.Short()
			p.up.tell(Report{Hello: &Hello{Name: p.name, Short: p.short, PID: os.Getpid()}})
		}
		p.ctx = ctx
		close(p.ready)
		loading, stop := context.WithCancel(ctx)
		l := load{p: p}
		defer l.tasks.Close()
		defer stop()
		if err := l.begin(loading, t); err != nil {
			return err
		}
		return serve(ctx)
	})
}

func (p *player) followEvents(ctx context.Context) {
	for e, err := range host.Events(ctx) {
		if err == nil && treepath.Host(e.Path) == directory.Here(ctx) { // else another player hosts the actor, and reports it
			p.up.tell(Report{Step: stepOf(e)})
		}
	}
}

func (p *player) opened(t Task) {
	t.Time = time.Now()
	p.up.tell(Report{Open: &t})
}

func (p *player) failed(t Task, err error) {
	t.Time = time.Now()
	p.up.tell(Report{Failed: &Failure{t, classify(err)}})
}

// playRoot hosts the whole tree until SIGINT.
func (p *player) playRoot() (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	program, err := os.Executable()
	if err == nil {
		env := map[string]string{socketVar: os.Getenv(socketVar), "GORACE": os.Getenv("GORACE")}
		err = p.openTree(ctx, host.Options{Name: root, Supervision: supervisionOf(root), Log: log}, specsBelow(root, program, env),
			func(ctx context.Context) error {
				<-ctx.Done()
				return context.Cause(ctx)
			})
	}
	if err != nil && (ctx.Err() == nil || !errors.Is(err, context.Cause(ctx))) {
		fmt.Fprintf(os.Stderr, "root: %+v\n", err)
		return 1
	}
	return 0
}
