package top

import (
	"fmt"
	"time"
)

// none is the text of a number that is not known.
const none = "-"

// Age is a time in seconds as its two largest units; - for 0.
func Age(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case seconds == 0:
		return none
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// Took is a short time, in seconds, as far as a histogram knows it; - for 0.
func Took(seconds float64) string {
	if seconds == 0 {
		return none
	}
	d := time.Duration(seconds * float64(time.Second))
	unit := time.Microsecond
	for d >= 100*unit {
		unit *= 10
	}
	return d.Round(unit).String()
}
