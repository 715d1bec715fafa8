// Package netns gives tests machines that are network namespaces: each has an address of its own, and
// its own link to a switch, which tests cut and mend. Programs on two machines reach each other by
// their addresses only. It needs root, and the command ip.
package netns
