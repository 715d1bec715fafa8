package bench

import "fmt"

// Goal is a bound that a row is to keep: of its ratio to the baseline, or of its
// median.
type Goal struct {
	Ratio bool    `json:"ratio"`           // else the median, in the row's unit
	Least bool    `json:"least"`           // else at most
	Reach float64 `json:"reach"`           // now
	Later float64 `json:"later,omitempty"` // 0: no further plan
}

func atMost(reach, later float64) Goal { return Goal{Ratio: true, Reach: reach, Later: later} }
func atLeast(reach, later float64) Goal {
	return Goal{Ratio: true, Least: true, Reach: reach, Later: later}
}
func within(reach, later float64) Goal { return Goal{Reach: reach, Later: later} }

// met reports whether a row keeps the bound.
func (g Goal) met(r Row, bound float64) bool {
	value := r.Result(Trellis).Median
	if g.Ratio {
		value = r.Ratio.Median
	}
	if g.Least {
		return value >= bound
	}
	return value <= bound
}

// text is a bound in words, as in "≤ 0.65×".
func (g Goal) text(r Row, bound float64) string {
	if bound == 0 {
		return ""
	}
	sign, value := "≤", r.Unit.Text(bound)
	if g.Least {
		sign = "≥"
	}
	if g.Ratio {
		value = fmt.Sprintf("%g×", bound)
	}
	return sign + " " + value
}
