package environ

import "strings"

// sameName compares names of variables, whose case does not count here.
func sameName(a, b string) bool { return strings.EqualFold(a, b) }
