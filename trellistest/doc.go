// Package trellistest tests plugins, and whole trees of them, inside one test binary: no
// process is started and no socket is opened unless a test asks for one.
//
//	func TestGreet(t *testing.T) {
//		actor := trellistest.Serve(t, greeting.Greet.Handle(greet))
//		ctx := contract.WithMetadata(t.Context(), contract.Metadata{"salute": "Hello"})
//		text, err := greeting.Greet.Call(ctx, actor, "Ada")
//		if err != nil || text != "Hello, Ada!" {
//			t.Errorf("%q, %v", text, err)
//		}
//		_, err = greeting.Greet.Call(ctx, actor, "nuts")
//		trellistest.WantError[*greeting.Rude](t, err)
//	}
//
// It mirrors package sdk: what a program gives to sdk.Serve or sdk.Plugin, its test gives to
// [Serve] or [Plugin]. What serves the endpoints is the runtime of a real plugin, and what is
// missing is the process around it. [Exec] starts the real program, under a real host, and
// looks for what that leaves behind; [Conformance] tests an SDK in another language, and [Registry] a directory.
//
// Everything that a function of this package starts belongs to the test that it was given, and
// has ended when that test has. The test fails if something of the author's has not: a call, a
// handler or a goroutine.
//
// docs/testing.md is the guide. The examples of [Plugin.Serve], [Bubble], [Explore], [Host] and
// [WantError] are whole tests.
package trellistest
