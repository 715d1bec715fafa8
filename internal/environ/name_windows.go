package environ

import "strings"

// folded is the name of a variable as names are compared: their case does not count here.
func folded(name string) string { return strings.ToUpper(name) }
