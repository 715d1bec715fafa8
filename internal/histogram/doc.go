// Package histogram counts durations between fixed bounds. It is machinery of
// this project and promises no stable API.
//
//	h.Add(took)                                    // by any number of goroutines: two atomic additions
//	counts, sum := h.Read()
//	histogram.Quantile(counts, 0.99)
//
// The bounds are the same for all, so that histograms of many actors can be added.
// They lie close together where calls between processes do, from 10 µs on, and go
// up to a minute: contexts last.
package histogram
