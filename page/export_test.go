package page

// The bounds of what a viewer holds open.
const (
	MostContexts = mostContexts
	MostUnsent   = mostUnsent
)
