// Package config describes trees of actors. A program in Go writes the same types
// (host.Spec is [Actor]) that a file holds and that a host sends to an actor which hosts
// others, and one set of rules holds for all three.
//
//	tree := &config.Tree{Actors: []config.Actor{{
//		Name:    "parser",
//		Command: []string{"./bin/parser", "-v"},
//		Restart: config.Transient,
//		Backoff: config.Backoff{Max: config.Duration(5 * time.Second)},
//	}}}
//	if err := tree.Check(); err != nil {
//		return err // *config.Error: everything that is wrong, each with its path
//	}
//	for _, together := range config.Levels(tree.Actors) {
//		start(together) // these depend only on those of earlier levels
//	}
//
// A description passes through three steps, and each is written once:
//
//   - What a value may be by itself stands in the tags of its field: default, min and
//     max, what to write instead of zero, and whether an empty text is meant.
//   - What values may be beside one another is for Check, which says all of it at once.
//   - What a zero field stands for is for WithDefaults, which whoever uses a value calls.
//
// Check does not read files. Package read does, and hands its Check a [Source] that knows
// in which line each value stands and which of them could not be read.
package config
