// Command host runs a tree of plugins from a config file.
//
//	host run [-c config.yaml] [--set path=value] [-o table|json] [--record actor=file] [name=value …]
//	host serve [-c config.yaml] [--set path=value] [--at address] [--metrics address]
//	host ps|tree|top|call|stream|open|wait|events|logs|cancel|restart … [--at address] [--timeout 10s]
//	host validate|graph|plan|apply [-c config.yaml] [--set path=value]
//	host new NAME
//	host schema|explain|version|man
//	host clean [--unused 24h]
//	host conform [--run regexp] [-v] [-o text|json] [--grpc] -- command [argument …]
//	host bench [--rounds n] [--only regexp] [--json file] [--quick]
//
// docs/commands.md has each of them with its flags.
//
// The result of the main job goes to standard output, progress and logs to
// standard error. The exit code is 0 if the main job ended well, 1 if something
// failed, 2 if the command line or the config is wrong, 3 to 5 for the commands that join
// a host which serves (docs/joining.md), and 128 and the number of the
// signal that ended the run: 130 after Ctrl-C (SIGINT), 143 after SIGTERM, 129 after
// SIGHUP, which a closed terminal sends, and 141 (SIGPIPE) if nobody reads standard
// output or error any more. All of these end the tree in order. SIGINT and SIGHUP
// that were ignored when the host was started (by nohup, or a script's &) stay so.
//
// Those commands are actors in the tree of that host for as long as they run, as any program
// that calls host.Join.
//
// Everything that the command does with actors, a program of your own can do in the same
// few steps; this is what host run comes down to:
//
//	tree, err := read.Load("config.yaml", read.Options{Set: set, Args: args})
//	actors, err := host.Build(ctx, ".", tree.Actors, nil)
//	err = host.OpenTree(ctx, host.Options{Supervision: tree.Supervision}, actors,
//		func(ctx context.Context, t *host.Tree) error {
//			portal, err := t.Portal(tree.Run.Actor)
//			if err != nil {
//				return err
//			}
//			payload, err := json.Marshal(tree.Run.Args)
//			…
//			result, err := contract.FuncByHand(tree.Run.Endpoint).Call(ctx, portal, payload)
//			…
//		})
//
// The rest is for people: signals become the end of a ctx (signals.go), progress is drawn
// where there is a terminal (progress.go), and results become tables (value.go, table.go).
package main
