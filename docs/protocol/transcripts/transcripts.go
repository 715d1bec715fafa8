// Package transcripts holds the transcripts of the protocol, for those who play them.
// README.md, beside them, explains their language.
package transcripts

import "embed"

// Files has each chapter as NAME.txt.
//
//go:embed *.txt
var Files embed.FS
