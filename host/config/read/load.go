package read

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/seed-2ba35074/trellis/host/config"
)

// Options are what comes to a config from outside its file.
type Options struct {
	// Lookup finds the variables of ${NAME}; os.LookupEnv if nil.
	Lookup func(name string) (string, bool)
	// Set are "path=value": they replace single values, and null takes one away.
	// Actors in a path are named: actors.census.actors.parser.replicas=2.
	Set []string
	// Args are "name=value": they replace single arguments of the main job. One
	// without = replaces the argument of a job that has a single one.
	Args []string
	// Programs also looks for the programs and packages that the file names, from
	// the folder of the file.
	Programs bool
	// Raw, if not nil, gets the same tree with the variables themselves in its texts, and not their values: to be shown.
	Raw *config.Tree
}

// maxFile is how many bytes a file may have. The parser's tree takes many times as much memory as
// the text, and the largest tree of processes has room in it.
const maxFile = 4 << 20

// Load reads a file. What is wrong with its content is a *config.Error. One byte more than a file
// may have is read, so that [Parse] sees that it is too large; the name may be that of a device
// that never ends.
func Load(path string, o Options) (*config.Tree, error) {
	file, err := os.Open(path) //nolint:gosec // the user names the file
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	src, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	return Parse(path, src, o)
}

// Parse reads the text of a file of the given name, as Load does. It goes on after problems as far
// as it can, so that all of them are reported at once: only a text that is not YAML, or too large,
// leaves nothing to look at. The name need not be that of a file on disk, unless Programs is set.
func Parse(name string, src []byte, o Options) (*config.Tree, error) {
	r := &reader{file: name, lookup: o.Lookup}
	if r.lookup == nil {
		r.lookup = os.LookupEnv
	}
	root := r.parse(src)
	if root == nil {
		return nil, r.err(nil)
	}
	r.override(root, o)
	tree := &config.Tree{}
	r.decode(root, reflect.ValueOf(tree).Elem())
	found := []error{tree.CheckFrom(root)}
	if o.Programs {
		found = append(found, tree.CheckPrograms(filepath.Dir(name), root))
	}
	if err := r.err(found); err != nil {
		return nil, err
	}
	if o.Raw != nil {
		raw := &reader{file: name, lookup: r.lookup, raw: true}
		root := raw.parse(src)
		raw.override(root, o)
		raw.decode(root, reflect.ValueOf(o.Raw).Elem())
	}
	return tree, nil
}

// parse makes the one document of the file a tree of nodes; nil after a problem. A second
// document is refused, and not left unread, as somebody may have meant it to count.
//
// The decoder is asked a second time in any case: it reads no further than the end of a document,
// so what is not YAML behind that would otherwise go unseen.
func (r *reader) parse(src []byte) *node {
	whole := config.Place{File: r.file}
	if len(src) > maxFile {
		r.report(whole, nil, "expected a file of at most %v", config.Size(maxFile))
		return nil
	}
	if !utf8.Valid(src) {
		r.report(whole, nil, "expected UTF-8 text; this is not text, or in another encoding")
		return nil
	}
	var doc, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		r.report(whole, nil, "expected a tree of actors, the file is empty; see the README for a first one")
		return nil
	}
	if err == nil {
		err = decoder.Decode(&more)
	}
	if err == nil {
		r.report(r.place(&more, ""), nil, "expected one YAML document, there are more; remove the lines from --- on")
		return nil
	}
	if !errors.Is(err, io.EOF) {
		r.syntax(src, err)
		return nil
	}
	root := r.build(doc.Content[0], nil, "")
	if root != nil && root.kind != yaml.MappingNode {
		r.report(root.at, root, "expected a mapping with the keys name, run and actors, got %s", root.describe())
		return nil
	}
	return root
}

// yamlLine finds the line in the parser's own error texts.
var yamlLine = regexp.MustCompile(`line (\d+): `)

// syntax reports what the parser says, at the line that it means: it counts some
// lines from 0, names none that is the first, and for some errors knows none. These errors have no
// type, so they are known by their texts, as the parser's version in go.mod has them. One that it
// words anew is still reported, at a line that may be off by one.
func (r *reader) syntax(src []byte, err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	at := config.Place{File: r.file, Line: 1, Column: 1}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		at.Line, _ = strconv.Atoi(m[1]) // digits
		text = strings.Replace(text, m[0], "", 1)
		if strings.HasPrefix(text, "did not find expected") {
			at.Line = min(at.Line+1, bytes.Count(bytes.TrimSpace(src), []byte{'\n'})+1)
		}
	}
	if text == "found unexpected end of stream" {
		text += "; is a quote not closed?" // the line is that of the quote, unless it is the first
	}
	if text == "found character that cannot start any token" && tabbed(src, at.Line) {
		text = "a line is indented with a tab; use spaces"
	}
	if strings.HasPrefix(text, "unknown anchor") || strings.HasPrefix(text, "control characters") {
		at = config.Place{File: r.file}
	}
	r.report(at, nil, "this is not valid YAML: %s", text)
}

// tabbed reports whether a line, the first of which is 1, is indented with a tab.
func tabbed(src []byte, line int) bool {
	lines := bytes.Split(src, []byte{'\n'})
	return line <= len(lines) && bytes.HasPrefix(bytes.TrimLeft(lines[line-1], " "), []byte{'\t'})
}
