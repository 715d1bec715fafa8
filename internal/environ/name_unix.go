//go:build unix

package environ

// folded is the name of a variable as names are compared.
func folded(name string) string { return name }
