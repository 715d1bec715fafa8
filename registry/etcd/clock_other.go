//go:build !linux

package etcd

import "time"

var began = time.Now()

// now is a clock that never goes back.
func now() time.Duration { return time.Since(began) }
