package trellistest

import "time"

// Dying sets how long what was told to end may take to be gone.
func Dying(d time.Duration) func(*Program) { return func(p *Program) { p.dying = d } }
