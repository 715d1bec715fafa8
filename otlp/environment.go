package otlp

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
)

// FromEnvironment fills in what o does not say, from the variables that OpenTelemetry has for it: OTEL_EXPORTER_OTLP_ENDPOINT,
// _PROTOCOL, _HEADERS and _TIMEOUT, OTEL_METRIC_EXPORT_INTERVAL, OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME, which is that of the root. With
// OTEL_SDK_DISABLED=true it takes nothing from there. What the variables say is checked by [Run]; the error is of one
// that cannot be read.
func FromEnvironment(o config.OTLP, lookup func(name string) (string, bool)) (config.OTLP, error) {
	get := func(name string) string {
		text, _ := lookup(name)
		return strings.TrimSpace(text)
	}
	if strings.EqualFold(get("OTEL_SDK_DISABLED"), "true") {
		return o, nil
	}
	o.Endpoint = cmp.Or(o.Endpoint, get("OTEL_EXPORTER_OTLP_ENDPOINT"))
	o.Protocol = cmp.Or(o.Protocol, config.Protocol(get("OTEL_EXPORTER_OTLP_PROTOCOL")))
	late := milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT", get, &o.Timeout)
	if err := cmp.Or(late, milliseconds("OTEL_METRIC_EXPORT_INTERVAL", get, &o.Interval)); err != nil {
		return o, err
	}
	headers, badHeader := pairs("OTEL_EXPORTER_OTLP_HEADERS", get)
	resource, badAttribute := pairs("OTEL_RESOURCE_ATTRIBUTES", get)
	if name := get("OTEL_SERVICE_NAME"); name != "" {
		resource[serviceName] = name
	}
	maps.Copy(headers, o.Headers)
	maps.Copy(resource, o.Resource)
	o.Headers, o.Resource = headers, resource
	return o, errors.Join(badHeader, badAttribute)
}

// milliseconds reads a variable into a duration that is not given.
func milliseconds(name string, get func(string) string, d *config.Duration) error {
	text := get(name)
	ms, err := strconv.Atoi(text)
	if err != nil && text != "" {
		return fmt.Errorf("%s: expected milliseconds, got %q", name, text)
	}
	*d = cmp.Or(*d, config.Duration(time.Duration(ms)*time.Millisecond))
	return nil
}

// pairs reads a variable of the form a=1,b=two%20words. Its value may be secret.
func pairs(name string, get func(string) string) (map[string]string, error) {
	found := map[string]string{}
	for part := range strings.SplitSeq(get(name), ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, escaped, is := strings.Cut(part, "=")
		value, err := url.PathUnescape(strings.TrimSpace(escaped))
		if key = strings.TrimSpace(key); !is || key == "" || err != nil {
			return found, fmt.Errorf("%s: expected name=value pairs with commas between them, and with %%20 for a space", name)
		}
		found[key] = value
	}
	return found, nil
}
