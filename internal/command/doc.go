// Package command is what the program host does: its commands, what they print, and their exit
// codes. It is a package, and not the program itself, so that programs which bring more along, such as
// the driver of a registry, are the same command.
package command
