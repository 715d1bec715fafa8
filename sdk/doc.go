// Package sdk is for writing plugins. A plugin is a program that serves endpoints:
//
//	sdk.Serve(greet.Handle(func(_ context.Context, name string) (string, error) {
//		return "Hello, " + name + "!", nil
//	}))
//
// The endpoints are declared with package shared/contract, in a package that the plugin
// shares with its callers. A host starts the program, with package host or with the
// command; started by hand, it says so and exits.
//
// # Lifecycle
//
// [Serve] is the last call of main: it answers the host's handshake, serves until the host
// asks the plugin to end, or is gone, and then exits. What main does before Serve delays
// the start, and the host waits for it only for the start_timeout of its spec, a minute by
// default.
//
// Each call or context runs a handler as if in a goroutine of its own (contract.FuncEndpoint's
// Handle says where it may notice that it is not). Its ctx is cancelled, with the reason
// as its cause, when the caller fails, cancels or is gone, and when the plugin ends. What a
// handler returns or panics with goes to its caller as an error, and the plugin lives on.
//
// To end, the plugin takes no new calls, cancels its handlers, waits for them, ends the
// plugins that it hosts, and runs its exit hooks ([OnExit]). SIGTERM, SIGINT and SIGHUP
// have the same effect. After the bounds of its spec (cancel_timeout, grace, term_timeout)
// it is killed.
//
// # What each party owes
//
// The author's code looks at its ctx: a handler that does not is waited for, and in the end
// the whole process is killed because of it. It starts goroutines that outlive a handler
// only if it ends them in an exit hook. It leaves standard output alone until Serve is
// called, since the handshake is the first line there.
//
// The runtime sends what log/slog's default logger gets to the host, with level, time and
// attributes, and, of what is logged with the ctx of a handler, with the ids of its
// caller's trace and span; host logs shows them (docs/telemetry.md). What is printed to
// standard output and standard error is logged as plain lines. When the host dies, the
// plugin's whole process group dies with it.
//
// # More
//
// [Self] is the plugin's identity, and [Parent] a portal to its host, both inside a
// handler. [Plugin] has what Serve does not: gRPC services of the author's own beside the
// endpoints, and plugins that this plugin hosts.
package sdk
