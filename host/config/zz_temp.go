// Package config is temporary.
package config

import "time"

type Duration time.Duration

type Condition string

type Actor struct {
	Name                               string
	Package                            string
	Command                            []string
	Dir                                string
	Env                                map[string]string
	Replicas                           int
	SHA256                             string
	Grace, CancelTimeout, StartTimeout Duration
	DependsOn                          map[string]Condition
	Restart                            string
	Actors                             []Actor
}

func Levels(actors []Actor) ([][]Actor, error) { return [][]Actor{actors}, nil }
