//go:build unix

package environ

// sameName compares names of variables.
func sameName(a, b string) bool { return a == b }
