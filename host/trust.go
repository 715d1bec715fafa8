package host

import (
	"fmt"
	"os"
	"runtime"
	"sync"

	"github.com/hashicorp/go-plugin"

	"github.com/seed-2ba35074/trellis/internal/trust"
)

// identityFD is the descriptor at which a child finds its identity: the first of
// process.Spec.Files.
const identityFD = 4

// passesFiles reports whether children can inherit descriptors. Where they cannot,
// connections are authenticated by go-plugin's AutoMTLS.
const passesFiles = runtime.GOOS != "windows"

// authority is made with the first child.
func newAuthority(self string) func() (*trust.Authority, error) {
	return sync.OnceValues(func() (*trust.Authority, error) { return trust.NewAuthority(self) })
}

// authenticate makes the child and this host accept each other, and no one else.
// The file holds the child's identity, and is closed once it has been started; it
// is nil if go-plugin's AutoMTLS is used.
func (i *incarnation) authenticate(config *plugin.ClientConfig) (identity *os.File, err error) {
	if i.foreign() || !passesFiles {
		return nil, nil
	}
	authority, err := i.env.authority()
	if err != nil {
		return nil, fmt.Errorf("make the tree's certificate authority: %w", err)
	}
	text, err := authority.Admit(i.id.UUID)
	if err != nil {
		return nil, fmt.Errorf("make the actor's certificate: %w", err)
	}
	config.AutoMTLS = false
	if config.TLSConfig, err = authority.Host(i.id.UUID); err != nil {
		return nil, err
	}
	if identity, err = trust.Pipe(text); err != nil {
		return nil, fmt.Errorf("hand over the actor's certificate: %w", err)
	}
	return identity, nil
}

// inherit is what the child gets besides the standard descriptors, and what tells
// it so.
func (i *incarnation) inherit() (files []*os.File, env []string) {
	if i.identity == nil {
		return nil, nil
	}
	return []*os.File{i.identity}, []string{fmt.Sprintf("%s=%d", trust.Variable, identityFD)}
}
