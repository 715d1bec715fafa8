// Package docs holds the pages of this folder that the command shows parts of. What it says of a key
// or of an error is then what stands on the page.
package docs

import _ "embed"

// Config is config.md: each key of a config file, in tables.
//
//go:embed config.md
var Config string

// Errors is errors.md: each error and each exit code, in tables.
//
//go:embed errors.md
var Errors string
