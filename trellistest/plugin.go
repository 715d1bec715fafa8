package trellistest

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/seed-2ba35074/trellis/shared/contract"
)

// Plugin is a plugin program without its process: what the program gives to sdk.Plugin, and
// what its host and its tree would say of it. The zero value serves nothing. It is a value
// that nothing here changes; one Plugin may be served by any number of tests.
//
// What goes with a call is in the ctx of the call, as always: a deadline, and what
// contract.WithMetadata adds.
type Plugin struct {
	// Name is the actor's name, "actor" if empty. In a tree it is the name of the
	// program, as the tree's file has it.
	Name      string
	Endpoints []contract.Handler
	// Parent is what the actor that started this one serves: handlers call it through
	// sdk.Parent.
	Parent []contract.Handler

	// Window is the receive buffer of both actors in contexts that do not say otherwise.
	Window contract.Window
	// CancelTimeout is how long a task may take to end that was told to, before whoever
	// waits for it gives up: 500 ms if 0, or a minute in a schedule, whose delays are not
	// the task's.
	CancelTimeout time.Duration
	// Grace is how long the actor may take to end when its test has: 10 s if 0. In a tree, the
	// tree says it.
	Grace time.Duration

	// Fresh, if not nil, makes endpoints for each actor, besides Endpoints: for each process of
	// a tree or of a recording, and each Serve. What they remember is gone with their process, as
	// it is in a program.
	Fresh func() []contract.Handler
	// Around runs what the plugin needs, as in sdk.Plugin.
	Around func(ctx context.Context, serve func(ctx context.Context) error) error
	// Hosts runs what the plugin hosts, as in sdk.Plugin; its programs are plugins, too.
	// An actor that is not in a tree has nothing to host, so that Hosts is not called.
	Hosts func(ctx context.Context, tree []byte, serve func(ctx context.Context) error) error
	// Starting, if not nil, is called in a tree at each stage of each start. It may take its
	// time, as with [Slow], and an error is the failure of the start. ctx ends when the start
	// is given up; [ProcessOf] finds the process in it. Serve and [Replay] have no such stages,
	// and refuse a plugin with it.
	Starting func(ctx context.Context, stage Stage) error

	// Record, if not nil, gets what is said with the actor, as host run --record writes it,
	// for [Replay], which refuses it. Plugins in a tree are not recorded. It is whole when the test that the actor belongs to has ended.
	Record io.Writer
}

// handlers are the endpoints of one actor.
func (p Plugin) handlers() []contract.Handler {
	if p.Fresh == nil {
		return p.Endpoints
	}
	return slices.Concat(p.Endpoints, p.Fresh())
}

// alone is the plugin of one actor that no host starts.
func (p Plugin) alone() (Plugin, error) {
	if p.Starting != nil {
		return p, errors.New("Plugin.Starting is for the processes of a tree (trellistest.Host); without a host there is no start that has stages")
	}
	p.Endpoints, p.Fresh = p.handlers(), nil
	return p, nil
}
