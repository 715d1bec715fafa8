package main

import "github.com/seed-2ba35074/trellis/internal/command"

func main() { command.Main() }
