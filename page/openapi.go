package page

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// object is one of JSON's.
type object = map[string]any

// compact is JSON in one line.
func compact(raw []byte) []byte {
	var out bytes.Buffer
	if json.Compact(&out, raw) != nil {
		return raw // of an encoder of ours it is valid
	}
	return out.Bytes()
}

// openAPI answers with a description of what this server answers: its own paths, and one for each endpoint of the
// actors that are ready, with the schemas of their contracts.
func (p *Page) openAPI(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	tree := p.asked()
	entries, err := tree.Entries(ctx, "")
	if err != nil {
		failed(w, err)
		return
	}
	entries = slices.DeleteFunc(entries, func(e directory.Entry) bool { return !e.State.Callable() })
	paths := ownPaths()
	for a := range tree.Each(ctx, entries, wire.OrderDescribe) {
		for _, e := range document.Describe(a).Endpoints {
			if path, operation := operationOf(a.Path, e); path != "" {
				paths[path] = operation
			}
		}
	}
	answer(w, http.StatusOK, object{
		"openapi": "3.1.0",
		"info":    object{"title": "A tree of actors", "version": "1", "description": "The actors that are ready now, and what they serve."},
		"paths":   paths,
		"components": object{
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
			"schemas":         object{"problem": problemSchema},
		},
		"security": []any{object{"token": []string{}}},
	})
}

var problemSchema = object{
	"type": "object", "required": []string{"version", "error"},
	"properties": object{"version": object{"type": "integer"}, "error": object{"type": "string"}, "story": object{"type": "array", "items": object{"type": "string"}}},
}

// escaped is a path of an actor, each segment for itself.
func escaped(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

// operationOf is how an endpoint is called over HTTP; "" if it cannot be. A schema is a document of its own, since a type that is
// inside itself refers to its own root.
func operationOf(actor string, e *document.Endpoint) (path string, item object) {
	at := escaped(actor) + "/" + url.PathEscape(e.Name)
	schema := func(part string) object {
		s := object{"$id": "urn:trellis:" + at + "/" + part}
		maps.Copy(s, e.Schemas[part])
		return s
	}
	failure := object{"description": "It has failed, or was refused.", "content": object{"application/json": object{"schema": object{"$ref": "#/components/schemas/problem"}}}}
	request := object{"content": object{"application/json": object{"schema": schema("arguments")}}}
	events := func(text string) object {
		return object{"description": "Server-sent events: " + text, "content": object{"text/event-stream": object{"schema": object{"type": "string"}}}}
	}
	switch e.Kind {
	case "func":
		return "/api/call/" + at, object{"post": object{
			"operationId": "call " + actor + " " + e.Name, "tags": []string{actor},
			"requestBody": request,
			"responses": object{
				"200":     object{"description": "The result.", "content": object{"application/json": object{"schema": schema("result")}}},
				"default": failure,
			},
		}}
	case "source":
		return "/api/stream/" + at, object{"get": object{
			"operationId": "stream " + actor + " " + e.Name, "tags": []string{actor},
			"parameters": []any{object{"name": "args", "in": "query", "content": object{"application/json": object{"schema": schema("arguments")}}}},
			"responses":  object{"200": events("each has a message as its data; \"end\" and \"error-of-tree\" are how it ends."), "default": failure},
			"x-message":  schema("message"),
		}}
	case "context":
		return "/api/open/" + at, object{"post": object{
			"operationId": "open " + actor + " " + e.Name, "tags": []string{actor}, "requestBody": request,
			"responses": object{"200": events("\"opened\" with the id for what is sent, \"started\", messages, \"counts\", then \"result\" or \"cancelled\", and \"end\", or \"error-of-tree\"."), "default": failure},
			"x-started": schema("started"), "x-command": schema("command"), "x-message": schema("message"), "x-result": schema("result"),
		}}
	}
	return "", nil
}

// ownPaths are those that do not depend on the tree.
func ownPaths() object {
	get := func(text, media string) object {
		return object{"get": object{"summary": text, "responses": object{"200": object{"description": text, "content": object{media: object{"schema": object{}}}}}}}
	}
	inPath := []any{object{"name": "actor", "in": "path", "required": true, "schema": object{"type": "string"}, "description": "A path, with its slashes."}}
	post := func(text string) object {
		return object{"post": object{"summary": text, "parameters": inPath, "responses": object{"204": object{"description": "It is done."}}}}
	}
	inContext := func(text string) object {
		return object{"post": object{
			"summary": text, "parameters": []any{object{"name": "id", "in": "path", "required": true, "schema": object{"type": "string"}, "description": "As the event opened has it."}},
			"responses": object{"2XX": object{"description": "It is accepted, or done."}},
		}}
	}
	actor := get("What is known of an actor.", "application/json")
	actor["parameters"] = inPath
	return object{
		"/api/tree":                get("The actors, each below its host.", "application/json"),
		"/api/actor/{actor}":       actor,
		"/api/metrics":             get("The numbers of all actors, as they are now.", "application/json"),
		"/api/traces":              get("The spans that are kept: of ?trace=ID, of ?actor=PATH, or all.", "application/json"),
		"/api/plan":                get("The difference between the config file and what runs.", "application/json"),
		"/api/events":              get("Events of the tree as they come, after Last-Event-ID.", "text/event-stream"),
		"/api/logs":                get("Records: ?actor=PATH, ?level=LEVEL, ?grep=EXPRESSION, ?trace=ID, ?last=NUMBER of those that are kept, and ?follow=1.", "text/event-stream"),
		"/api/restart/{actor}":     post("Start an actor anew."),
		"/api/cancel/{actor}":      post("End an actor for good."),
		"/api/context/{id}/send":   inContext("Send a message, which is the body."),
		"/api/context/{id}/close":  inContext("Say that no more messages come."),
		"/api/context/{id}/cancel": inContext("Cancel the context."),
	}
}
