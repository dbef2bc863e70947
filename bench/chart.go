package main

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

type point struct{ x, y float64 }

// A series is a line of a chart. Its look is a class of the style below.
type series struct {
	name, look string
	points     []point
}

// An axis maps values to shares of its length.
type axis struct {
	label string
	ticks []float64 // the first and the last are its ends
	log   bool
}

func (a axis) share(value float64) float64 {
	from, to := a.ticks[0], a.ticks[len(a.ticks)-1]
	if a.log {
		value, from, to = math.Log(value), math.Log(from), math.Log(to)
	}
	return min(max((value-from)/(to-from), 0), 1)
}

// logTicks are 1, 2 and 5 of each power of ten from below the lowest value to above the highest.
func logTicks(low, high float64) (ticks []float64) {
	for power := math.Floor(math.Log10(low)); ; power++ {
		for _, digit := range []float64{1, 2, 5} {
			tick := digit * math.Pow(10, power)
			if tick <= low && len(ticks) > 0 {
				ticks = ticks[:0]
			}
			ticks = append(ticks, tick)
			if tick >= high && len(ticks) > 1 {
				return ticks
			}
		}
	}
}

// evenTicks are about five round numbers from 0 to above the highest value.
func evenTicks(high float64) []float64 {
	step := math.Pow(10, math.Floor(math.Log10(high))-1)
	for _, more := range []float64{1, 2, 5, 10, 20} {
		if high/(step*more) <= 6 {
			step *= more
			break
		}
	}
	ticks := []float64{0}
	for n := 1.0; ticks[len(ticks)-1] < high; n++ {
		ticks = append(ticks, n*step)
	}
	return ticks
}

// A chart is drawn as SVG that brings its own ground, lest it depend on that of the page.
type chart struct {
	title  string
	x, y   axis
	series []series
}

const (
	width, height            = 720, 400
	left, right, top, bottom = 70, 40, 70, 55 // margins
	style                    = `svg{font:13px sans-serif}.ground{fill:#fff}text{fill:#24292f}.grid{stroke:#d0d7de}` +
		`.line{fill:none;stroke-width:2.2;stroke-linejoin:round}.jsd{stroke:#0969da}.base{stroke:#cf222e}.floor{stroke:#6e7781}` +
		`.dashed{stroke-dasharray:7 5}.title{font-size:15px;font-weight:bold}` +
		`@media(prefers-color-scheme:dark){.ground{fill:#0d1117}text{fill:#e6edf3}.grid{stroke:#30363d}` +
		`.jsd{stroke:#58a6ff}.base{stroke:#ff7b72}.floor{stroke:#9198a1}}`
)

func (c *chart) at(p point) (x, y float64) {
	return left + c.x.share(p.x)*(width-left-right), height - bottom - c.y.share(p.y)*(height-top-bottom)
}

func (c *chart) svg() string {
	var b strings.Builder
	put := func(format string, values ...any) { fmt.Fprintf(&b, format+"\n", values...) }
	put(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`, width, height, width, height)
	put(`<title>%s</title><style>%s</style><rect class="ground" width="100%%" height="100%%"/>`, html.EscapeString(c.title), style)
	put(`<text class="title" x="%d" y="24">%s</text>`, left, html.EscapeString(c.title))
	c.axes(put)
	for i, s := range c.series {
		// Names stand above in a row, each behind a piece of its line.
		room := (width - left - right) / len(c.series)
		put(`<path class="line %s" d="M%d 46h26"/><text x="%d" y="50">%s</text>`, s.look, left+i*room, left+i*room+32, html.EscapeString(s.name))
		var d strings.Builder
		for n, p := range s.points {
			x, y := c.at(p)
			fmt.Fprintf(&d, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[n == 0], x, y)
		}
		put(`<path class="line %s" d="%s"/>`, s.look, d.String())
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (c *chart) axes(put func(string, ...any)) {
	for _, tick := range c.x.ticks {
		x, _ := c.at(point{tick, c.y.ticks[0]})
		put(`<path class="grid" d="M%.1f %dV%d"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`,
			x, top, height-bottom, x, height-bottom+18, short(tick))
	}
	for _, tick := range c.y.ticks {
		_, y := c.at(point{c.x.ticks[0], tick})
		put(`<path class="grid" d="M%d %.1fH%d"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`,
			left, y, width-right, left-8, y+4, short(tick))
	}
	put(`<text x="%d" y="%d" text-anchor="middle">%s</text>`, (left+width-right)/2, height-14, html.EscapeString(c.x.label))
	put(`<text transform="translate(18 %d) rotate(-90)" text-anchor="middle">%s</text>`, (top+height-bottom)/2, html.EscapeString(c.y.label))
}

// short writes a number at a tick, with commas between thousands.
func short(tick float64) string {
	text := strconv.FormatFloat(tick, 'f', -1, 64)
	if strings.Contains(text, ".") {
		return strconv.FormatFloat(tick, 'g', 3, 64)
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
