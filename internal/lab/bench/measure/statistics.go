package measure

import (
	"math"
	"slices"
)

// Quantile is the value below which a share q of values lies, between neighbours in
// proportion; 0 of none.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(max(1, len(values)))
}

// Spread is the distance of the quartiles as a share of the median: what the middle
// half of the rounds differs by.
func Spread(values []float64) float64 {
	median := Quantile(values, 0.5)
	if median == 0 {
		return 0
	}
	return math.Abs((Quantile(values, 0.75) - Quantile(values, 0.25)) / median)
}
