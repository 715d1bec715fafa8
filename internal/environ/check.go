package environ

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The refusals here are words that can follow the place of the value.

// CheckText refuses what no argument, path or value of a variable can be: text with
// a NUL byte, at which the operating system would end it.
func CheckText(text string) error {
	if strings.ContainsRune(text, 0) {
		return fmt.Errorf("expected text without NUL bytes, at which the operating system would end it, got %q", text)
	}
	return nil
}

// CheckName refuses what no variable can be called. An environment is a list of NAME=value, so
// "A=B" with the value c would set A to "B=c" without a word, and an empty name nothing at all.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("expected the name of a variable, it is empty")
	case strings.Contains(name, "="):
		return fmt.Errorf("expected the name of a variable, without =, got %q", name)
	}
	return CheckText(name)
}

// CheckVariable refuses a variable that a description cannot set: its name or its
// value cannot be carried, or the name is one that the host sets itself, after the
// description.
func CheckVariable(name, value string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if Reserved(name) {
		return fmt.Errorf("expected a variable that the host does not set itself, got %q", name)
	}
	return CheckText(value)
}

// GoPlugin are the variables by which go-plugin's hosts speak to its plugins,
// except for the cookie, which each program names itself. They are listed one by one: a plugin's
// author may well choose a name such as PLUGIN_DATA_DIR, and a rule for the prefix would take it
// away. A new version of go-plugin may bring others, which then belong here.
func GoPlugin() []string {
	return []string{
		"PLUGIN_MIN_PORT", "PLUGIN_MAX_PORT", "PLUGIN_PROTOCOL_VERSIONS", "PLUGIN_CLIENT_CERT",
		"PLUGIN_UNIX_SOCKET_DIR", "PLUGIN_UNIX_SOCKET_GROUP", "PLUGIN_MULTIPLEX_GRPC",
	}
}

// The variables by which a host of Trellis speaks to its children, besides those of
// go-plugin. A child takes each of them out of its environment when it has read it, so that its
// own children are not taken for plugins of the same host.
const (
	Cookie   = "TRELLIS_COOKIE"   // the program is started as a plugin
	Lifeline = "TRELLIS_LIFELINE" // the descriptor of its lifeline
	Identity = "TRELLIS_IDENTITY" // the descriptor at which it finds its certificate
	Name     = "TRELLIS_NAME"     // what it was called by, where a title is in its place
)

var reserved = append([]string{Cookie, Lifeline, Identity, Name}, GoPlugin()...)

// Reserved reports whether a variable belongs to the one link between a host and
// its child. A description that sets such a variable is refused: the host's own value would be
// laid over it, and the setting have no effect.
func Reserved(name string) bool {
	return slices.ContainsFunc(reserved, func(r string) bool { return folded(r) == folded(name) })
}
