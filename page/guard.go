package page

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/loopback"
)

const (
	mostInvitations = 16 // that were not used; the oldest are forgotten
	mostSessions    = 64 // the same
	// actHeader is what a page of another origin cannot send without being asked for it first.
	actHeader = "X-Trellis"
)

// guard decides who may look.
//
// mu guards invitations and sessions, which are kept as sums, so that comparing them tells nothing of their texts.
type guard struct {
	token [sha256.Size]byte
	open  bool // there is a token
	hosts []string
	name  string // of the cookie: those of two pages on one machine are sent to both

	mu          sync.Mutex
	invitations [][sha256.Size]byte
	sessions    [][sha256.Size]byte
}

func newGuard(o Options) *guard {
	return &guard{token: sha256.Sum256([]byte(o.Token)), open: o.Token != "", hosts: o.Hosts, name: "trellis-" + rand.Text()[:8]}
}

// invite makes a link that lets one browser in.
func (g *guard) invite() string {
	code := rand.Text()
	g.remember(&g.invitations, code, mostInvitations)
	return "/?invitation=" + code
}

func (g *guard) remember(in *[][sha256.Size]byte, secret string, most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	*in = append(*in, sha256.Sum256([]byte(secret)))
	*in = (*in)[max(0, len(*in)-most):]
}

// admits reports whether a request is from whom may look, and otherwise answers it. An invitation becomes a session.
func (g *guard) admits(w http.ResponseWriter, r *http.Request) bool {
	switch code := r.URL.Query().Get("invitation"); {
	case !g.answersTo(r.Host):
		refuse(w, http.StatusForbidden, "this page does not answer to the name "+r.Host)
	case foreignOrigin(r):
		refuse(w, http.StatusForbidden, "a page of another origin may not ask here")
	case g.bearer(r):
		return true
	case r.Method == http.MethodGet && r.URL.Path == "/" && code != "":
		g.accept(w, r, code)
	case !g.session(r):
		refuse(w, http.StatusUnauthorized, "expected a session, or a token as in Authorization: Bearer TOKEN; the program that serves this page prints a link, which is good for one browser")
	case r.Method != http.MethodGet && r.Header.Get(actHeader) == "":
		refuse(w, http.StatusForbidden, "expected the header "+actHeader+": 1 with a request that changes something")
	default:
		return true
	}
	return false
}

// accept begins a session for an invitation that was not used before.
func (g *guard) accept(w http.ResponseWriter, r *http.Request, code string) {
	sum := sha256.Sum256([]byte(code))
	g.mu.Lock()
	i := slices.Index(g.invitations, sum)
	if i >= 0 {
		g.invitations = slices.Delete(g.invitations, i, i+1)
	}
	g.mu.Unlock()
	if i < 0 && !g.session(r) {
		refuse(w, http.StatusUnauthorized, "this link was used before, or is not of this page: the program that serves it prints another one when it is asked to")
		return
	}
	if i >= 0 {
		secret := rand.Text()
		g.remember(&g.sessions, secret, mostSessions)
		// It is as secure as the connection is: one to this machine has no TLS.
		http.SetCookie(w, &http.Cookie{Name: g.name, Value: secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil}) //nolint:gosec // as said above
	}
	http.Redirect(w, r, "/", http.StatusSeeOther) // the link is not kept in the address, nor in what the browser remembers
}

// viewer tells those apart who were admitted: a session, or whoever has the token.
func (g *guard) viewer(r *http.Request) [sha256.Size]byte {
	cookie, err := r.Cookie(g.name)
	if err != nil || g.bearer(r) {
		return g.token
	}
	return sha256.Sum256([]byte(cookie.Value))
}

func (g *guard) session(r *http.Request) bool {
	if _, err := r.Cookie(g.name); err != nil {
		return false
	}
	sum := g.viewer(r)
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Contains(g.sessions, sum)
}

func (g *guard) bearer(r *http.Request) bool {
	given, is := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	sum := sha256.Sum256([]byte(given))
	return is && g.open && subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1
}

// answersTo reports whether a name that was asked for is one of the page's.
func (g *guard) answersTo(host string) bool {
	name := loopback.Name(host)
	if g.hosts == nil {
		return loopback.Is(name)
	}
	return slices.Contains(g.hosts, name) || slices.Contains(g.hosts, "*")
}

// foreignOrigin reports whether a browser says that another page asks.
func foreignOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	_, at, _ := strings.Cut(origin, "://")
	site := r.Header.Get("Sec-Fetch-Site")
	return origin != "" && at != r.Host || site == "cross-site" && r.URL.Path != "/" || site == "same-site"
}
