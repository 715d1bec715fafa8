// Package tracing makes spans: of both sides of each dialog, and of what a host does with its actors.
//
//	spans := tracing.To(source, path)       // nil if the source keeps none: then nothing is made
//	s := spans.Client(within)               // nil if the caller's own trace is not sampled
//	parent, state := s.Header(within)       // for the callee: spans.Server(parent, state)
//	s.Event("started")
//	spans(s.End(fault))
//
// A trace has the form of OpenTelemetry's, whose API authors may use in their code: the span
// of a ctx is found there by both. Nothing of OpenTelemetry's SDK is needed for that.
package tracing
