//go:build unix

package process

// sameName compares names of variables.
func sameName(a, b string) bool { return a == b }
