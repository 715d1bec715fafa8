package main

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/lab/bench"
)

// panel is one plot; a drawing has several side by side. The x axis is logarithmic.
type panel struct {
	title, x string
	log      bool // the y axis is logarithmic too; else it begins at 0
	count    bool // x is a number, else a size in bytes
	lines    []line
}

// line is what one subject's numbers make.
type line struct {
	subject string
	unit    bench.Unit
	points  []point
}

type point struct{ x, y float64 }

// How a subject is drawn: colours that differ in lightness as well, for those who
// cannot tell hues.
var styles = map[string]struct{ name, colour string }{
	bench.Trellis: {"Trellis", "#1a5fb4"},
	bench.Plain:   {"go-plugin gRPC", "#e66100"},
	bench.NetRPC:  {"go-plugin net/rpc", "#9a6fb0"},
	bench.Bare:    {"gRPC", "#f5a97f"},
	bench.TTRPC:   {"ttrpc", "#2f8f6b"},
	bench.Socket:  {"raw socket", "#7a7a7a"},
}

// Sizes of a panel, in pixels.
const (
	panelWidth, panelHeight = 380, 300
	left, right             = 70, 18
	top, bottom             = 34, 52
	legendHeight            = 30
)

// draw makes an SVG of panels.
func draw(panels []panel) string {
	var b strings.Builder
	width, height := panelWidth*len(panels), panelHeight+legendHeight
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	for i, p := range panels {
		fmt.Fprintf(&b, `<g transform="translate(%d 0)">`+"\n", i*panelWidth)
		p.draw(&b)
		b.WriteString("</g>\n")
	}
	drawLegend(&b, panels)
	b.WriteString("</svg>\n")
	return b.String()
}

func drawLegend(b *strings.Builder, panels []panel) {
	x := left
	for _, subject := range []string{bench.Trellis, bench.Plain, bench.NetRPC, bench.Socket} {
		if !drawn(panels, subject) {
			continue
		}
		style := styles[subject]
		fmt.Fprintf(b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="%s" stroke-width="2.5"/>`, x, panelHeight+10, x+22, panelHeight+10, style.colour)
		fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`+"\n", x+28, panelHeight+14, style.name)
		x += 150
	}
}

func drawn(panels []panel, subject string) bool {
	for _, p := range panels {
		for _, l := range p.lines {
			if l.subject == subject {
				return true
			}
		}
	}
	return false
}

func (p panel) draw(b *strings.Builder) {
	fmt.Fprintf(b, `<text x="%d" y="20" font-size="13" font-weight="bold">%s</text>`+"\n", left, html.EscapeString(p.title))
	xs, ys := p.axes()
	if len(p.lines) == 0 || xs.high <= xs.low || ys.high <= ys.low {
		fmt.Fprintf(b, `<text x="%d" y="%d">not measured</text>`+"\n", left, panelHeight/2)
		return
	}
	for _, v := range xs.ticks() {
		x := xs.at(v)
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#e4e4e4"/>`, x, top, x, panelHeight-bottom)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x, panelHeight-bottom+16, p.label(v))
	}
	for _, v := range ys.ticks() {
		y := ys.at(v)
		fmt.Fprintf(b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#e4e4e4"/>`, left, y, panelWidth-right, y)
		fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left-6, y+4, p.lines[0].unit.Text(v))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (left+panelWidth-right)/2, panelHeight-bottom+36, html.EscapeString(p.x))
	for _, l := range p.lines {
		l.draw(b, xs, ys)
	}
}

// label is a place on the x axis in words.
func (p panel) label(v float64) string {
	if p.count {
		return bench.Pieces.Text(v)
	}
	return bench.Bytes.Text(v)
}

func (l line) draw(b *strings.Builder, xs, ys axis) {
	colour := styles[l.subject].colour
	var path []string
	for _, p := range l.points {
		if !xs.has(p.x) || !ys.has(p.y) {
			continue
		}
		path = append(path, fmt.Sprintf("%.1f,%.1f", xs.at(p.x), ys.at(p.y)))
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"><title>%s: %s</title></circle>`+"\n",
			xs.at(p.x), ys.at(p.y), colour, styles[l.subject].name, l.unit.Text(p.y))
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(path, " "), colour)
}

// axes are as long as the numbers need.
func (p panel) axes() (xs, ys axis) {
	xs = axis{low: math.Inf(1), log: true, base: 2, from: left, to: panelWidth - right}
	if p.count {
		xs.base = 10
	}
	ys = axis{low: math.Inf(1), log: p.log, base: 10, from: panelHeight - bottom, to: top}
	for _, l := range p.lines {
		for _, at := range l.points {
			if at.x > 0 { // nothing has no place on a logarithmic axis
				xs.low, xs.high = min(xs.low, at.x), max(xs.high, at.x)
			}
			if at.y > 0 {
				ys.low, ys.high = min(ys.low, at.y), max(ys.high, at.y)
			}
		}
	}
	if p.log {
		ys.low, ys.high = power(ys.low, math.Floor), power(ys.high, math.Ceil)
	} else {
		ys.low, ys.high = 0, ys.high*1.1
	}
	return xs, ys
}

// power rounds to a power of ten.
func power(v float64, round func(float64) float64) float64 { return math.Pow(10, round(math.Log10(v))) }

// axis maps numbers to pixels.
type axis struct {
	low, high float64
	log       bool
	base      float64
	from, to  float64
}

func (a axis) has(v float64) bool { return v >= a.low && v <= a.high }

func (a axis) at(v float64) float64 {
	share := (v - a.low) / (a.high - a.low)
	if a.log {
		share = math.Log(v/a.low) / math.Log(a.high/a.low)
	}
	return a.from + share*(a.to-a.from)
}

// ticks are the numbers that the axis shows: not more than eight.
func (a axis) ticks() (all []float64) {
	if !a.log {
		step := math.Pow(10, math.Floor(math.Log10(a.high/2)))
		for a.high/step > 6 {
			step *= 2
		}
		for v := 0.0; v <= a.high; v += step {
			all = append(all, v)
		}
		return all
	}
	factor := a.base
	for math.Log(a.high/a.low)/math.Log(factor) > 7 {
		factor *= a.base
	}
	first := math.Pow(a.base, math.Ceil(math.Log(a.low)/math.Log(a.base)-1e-9))
	for v := first; v <= a.high*1.001; v *= factor {
		all = append(all, v)
	}
	return all
}
