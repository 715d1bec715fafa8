// Package console is the screen of host top: a model that is folded from what a tree says, and that is drawn as a frame.
// It reads nothing, starts nothing and knows no terminal.
//
//	m := console.New(console.Options{Host: "default"})
//	m.Update(console.Size{Width: 80, Height: 24})
//	m.Update(console.Measured{Table: table})      // and Happened, Said, Ended, Described: what the tree says
//	asked := m.Update(console.Press{Key: "l"})    // what a person presses; asked is what that takes
//	text := m.Frame()                             // Height lines of at most Width cells
//
// Whoever holds the model connects it: each message goes to Update, by one goroutine; what Update asks for is done
// elsewhere, and its answer is one more message. A page that is left is not waited for: answers carry the number of the
// page that has asked, and those of another page are dropped.
//
// # Text from outside
//
// Names, states, records, spans, errors: all of it may be a plugin's. A line consists of parts, whose text is made
// harmless in the moment in which it is drawn, by package terminal, and coloured behind that. Nothing else becomes a
// part of a frame.
//
// # Colours
//
// A frame uses the eight colours of every terminal. What they say is said by a mark or a word, too: the selected line
// begins with >, one in trouble with !. So a frame without colours says the same.
package console
