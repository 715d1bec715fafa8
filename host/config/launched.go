package config

import (
	"bytes"
	"errors"
	"fmt"
	"text/template"

	"github.com/seed-2ba35074/trellis/internal/environ"
	"github.com/seed-2ba35074/trellis/internal/words"
)

// Launched is an agent that the root of a tree starts, usually on another machine. The command
// runs on the machine of the root, and is to last as long as the agent that it starts; it is
// started again when it has ended. Its standard input stays open until the tree has ended, and
// ends with the root in any case, so that an agent with --until-input-ends does not outlive
// it.
type Launched struct {
	// Name of the agent, which is that in its certificate.
	Name string `yaml:"name" json:"name"`
	// Launch is the command, as in [ssh, b, host, agent, --join, "{{.Address}}"]: each text is a template of text/template with
	// the fields Address (tls://HOST@ADDRESS, where the root is reached), Tree (its name) and Name.
	Launch []string `yaml:"launch" json:"launch"`
}

// mostLaunched is how many agents may join a host.
const mostLaunched = 1024

// Command is what Launch says of a root that is reached at an address, and of the tree with a
// name. Its error says which text cannot be used, and why.
func (l Launched) Command(address, tree string) (command []string, err error) {
	if len(l.Launch) == 0 {
		return nil, errors.New("expected the command that starts the agent, there is none")
	}
	for i := range l.Launch {
		text, err := l.expand(i, address, tree)
		if err != nil {
			return nil, err
		}
		command = append(command, text)
	}
	return command, nil
}

// expand is one text of the command. A field that there is not is an error when the template
// is carried out.
func (l Launched) expand(i int, address, tree string) (string, error) {
	var text bytes.Buffer
	t, err := template.New("").Parse(l.Launch[i])
	if err == nil {
		err = t.Execute(&text, struct{ Address, Tree, Name string }{address, tree, l.Name})
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("expected a template with .Address, .Tree and .Name, got %s: %w", words.Quote(l.Launch[i]), err)
	case i == 0 && text.Len() == 0:
		return "", errors.New("expected a program, it is empty")
	}
	return text.String(), environ.CheckText(text.String())
}

// agents checks those that the host starts. Templates are carried out with values that have
// the form of real ones, as the real ones are known only when the host listens. Whether there
// is such a program is not asked: it is looked for at each start.
func (c *checker) agents(f Fleet, at *place) {
	list := at.key("agents")
	switch {
	case len(f.Agents) > mostLaunched:
		c.note(list, "expected at most %d agents, got %d", mostLaunched, len(f.Agents))
		return
	case len(f.Agents) > 0 && f.Listen == "":
		c.note(at.key("listen"), "expected the address at which the agents join (fleet.agents), there is none")
	}
	names := map[string]bool{}
	for i, l := range f.Agents {
		here := list.item(i, l.Name)
		switch {
		case !nameForm.MatchString(l.Name):
			c.note(here.key("name"), "expected the name of an agent, 1 to 63 letters a-z, digits, - and _, got %s", words.Quote(l.Name))
		case names[l.Name]:
			c.note(here.key("name"), "another agent has the same name")
		}
		names[l.Name] = true
		c.noteIf(len(l.Launch) == 0, here.key("launch"), "expected the command that starts the agent, there is none")
		for n := range l.Launch {
			_, err := l.expand(n, "tls://a@10.0.0.1:7077", "tree")
			c.refused(here.key("launch").item(n, ""), err)
		}
	}
}
