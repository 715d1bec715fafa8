package config

import (
	"net/url"
	"regexp"

	"github.com/seed-2ba35074/trellis/internal/words"
)

// OTLP says where what a tree says is sent, in the protocol of OpenTelemetry, and whether foreign programs send
// theirs to this tree. Package otlp does that; a host by itself sends nothing.
type OTLP struct {
	// Endpoint is the address of a collector; nothing is sent if it is empty. The paths of HTTP, such as
	// /v1/logs, are added to it.
	Endpoint string `yaml:"endpoint" json:"endpoint,omitempty"`
	// Protocol, if it is not given, is gRPC for an endpoint with the port 4317, and else HTTP.
	Protocol Protocol          `yaml:"protocol" json:"protocol,omitempty" oneof:"grpc http/protobuf"`
	Headers  map[string]string `yaml:"headers" json:"headers,omitempty"`
	Timeout  Duration          `yaml:"timeout" json:"timeout,omitempty" default:"10s"`  // for the answer of the collector
	Flush    Duration          `yaml:"flush" json:"flush,omitempty" default:"3s"`       // for what is left at the end
	Interval Duration          `yaml:"interval" json:"interval,omitempty" default:"1m"` // from one look at the numbers of all actors to the next
	// Resource are attributes of all that is sent; service.name is that of the root alone, as actors have names.
	Resource map[string]string `yaml:"resource" json:"resource,omitempty"`
	// Receive gives foreign programs an endpoint of this tree.
	Receive bool `yaml:"receive" json:"receive,omitempty" default:"false"`
}

// Protocol is how OTLP is carried.
type Protocol string

// The protocols.
const (
	GRPC Protocol = "grpc"
	HTTP Protocol = "http/protobuf"
)

var (
	headerName  = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	headerValue = regexp.MustCompile(`^[\x20-\x7e]*$`)
)

// otlp checks an endpoint, and the headers, whose values may be secrets and are not shown.
func (c *checker) otlp(o OTLP, at *place) {
	u, err := url.Parse(o.Endpoint)
	switch {
	case o.Endpoint == "":
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.RawQuery+u.Fragment != "":
		c.note(at.key("endpoint"), "expected a URL such as http://localhost:4317 or https://example.com, got %s", words.Quote(o.Endpoint))
	case u.User != nil:
		c.note(at.key("endpoint"), "expected a URL without a user; what authenticates is a header (telemetry.otlp.headers)")
	}
	for _, name := range sortedKeys(o.Headers) {
		if !headerName.MatchString(name) {
			c.note(at.key("headers").key(name), "expected the name of a header, of letters, digits, -, _ and ., got %s", words.Quote(name))
		} else if !headerValue.MatchString(o.Headers[name]) {
			c.note(at.key("headers").key(name), "expected a value of printable ASCII characters")
		}
	}
}
