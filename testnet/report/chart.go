package report

import (
	"html/template"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// chart is a plot of lines over time.
type chart struct {
	label string // for those who cannot see it
	x, y  string // axes
	unit  float64
	top   float64 // of the y axis at least, in units
	whole bool    // the x axis counts
	lines []line
	bound []mark // moments
	level []mark // heights
	fault []float64
	note  string
	keys  []Key
}

type line struct {
	points plotter.XYs
	paint  paint
	width  float64 // points
}

// mark is a place on an axis with a name.
type mark struct {
	at   float64
	text string
}

// Key says what a colour stands for.
type Key struct {
	Paint paint
	Name  string
}

const (
	thin, thick = 0.7, 1.6 // points
	chartWidth  = 720
	chartHeight = 250
)

// draw returns the chart as a figure; nothing if there is nothing in it.
func (c chart) draw() (figure, error) {
	p := newPlot(c.x, c.y)
	p.Y.Min, p.Y.Max, p.X.Min, p.X.Max = 0, c.top, 0, 0
	if c.unit == 0 {
		c.unit = 1
	}
	p.Add(horizontals{})
	drawn := 0
	for _, l := range c.lines {
		if len(l.points) == 0 {
			continue
		}
		scaled := make(plotter.XYs, len(l.points))
		for i, xy := range l.points {
			scaled[i] = plotter.XY{X: xy.X, Y: xy.Y / c.unit}
		}
		drawn++
		if err := addLine(p, scaled, l.paint, l.width, nil); err != nil {
			return figure{}, err
		}
	}
	if drawn == 0 {
		return figure{}, nil
	}
	if err := c.marks(p); err != nil {
		return figure{}, err
	}
	if c.whole {
		p.X.Tick.Marker = wholeNumbers(p.X.Max)
	}
	drawing, err := svg(p, vg.Points(chartWidth), vg.Points(chartHeight), c.label)
	return figure{SVG: drawing, Note: c.note, Keys: c.keys}, err
}

// wholeNumbers are ticks of an axis that counts.
func wholeNumbers(most float64) (ticks plot.ConstantTicks) {
	for v := 0.0; v <= most; v++ {
		ticks = append(ticks, plot.Tick{Value: v, Label: strconv.Itoa(int(v))})
	}
	return ticks
}

var dashes = []vg.Length{vg.Points(5), vg.Points(3)}

// marks draws what is not data: bounds, levels and faults.
func (c chart) marks(p *plot.Plot) error {
	for _, m := range c.bound {
		p.X.Max = max(p.X.Max, m.at*1.02)
	}
	for _, m := range c.level {
		p.Y.Max = max(p.Y.Max, m.at/c.unit*1.05)
	}
	if p.Y.Max == 0 {
		p.Y.Max = 1
	}
	for i, at := range c.fault {
		if i == shownFaults {
			break
		}
		upright := plotter.XYs{{X: at, Y: 0}, {X: at, Y: p.Y.Max}}
		if err := addLine(p, upright, fault, thin, []vg.Length{vg.Points(1), vg.Points(2)}); err != nil {
			return err
		}
	}
	for i, m := range c.bound {
		upright := plotter.XYs{{X: m.at, Y: 0}, {X: m.at, Y: p.Y.Max}}
		if err := addLine(p, upright, limit, thick, dashes); err != nil {
			return err
		}
		at := plotter.XY{X: m.at, Y: p.Y.Max * (0.06 + 0.07*float64(i))}
		if err := addText(p, at, m.text, m.at > (p.X.Min+p.X.Max)/2); err != nil {
			return err
		}
	}
	for i, m := range c.level {
		flat := plotter.XYs{{X: p.X.Min, Y: m.at / c.unit}, {X: p.X.Max, Y: m.at / c.unit}}
		if err := addLine(p, flat, limit, thick, dashes); err != nil {
			return err
		}
		at, right := plotter.XY{X: p.X.Min, Y: m.at / c.unit}, i%2 == 1 // of two runs, that may have the same
		if right {
			at.X = p.X.Max
		}
		if err := addText(p, at, m.text, right); err != nil {
			return err
		}
	}
	return nil
}

func addLine(p *plot.Plot, points plotter.XYs, colour paint, width float64, dash []vg.Length) error {
	l, err := plotter.NewLine(points)
	if err != nil {
		return err
	}
	l.LineStyle = draw.LineStyle{Color: colour, Width: vg.Points(width), Dashes: dash}
	p.Add(l)
	return nil
}

// addText writes beside a point, to its left or its right.
func addText(p *plot.Plot, at plotter.XY, words string, left bool) error {
	labels, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{at}, Labels: []string{words}})
	if err != nil {
		return err
	}
	style := text.Style{Color: limit, Font: letters(9), Handler: plot.DefaultTextHandler, XAlign: draw.XLeft, YAlign: draw.YBottom}
	labels.Offset.X, labels.Offset.Y = vg.Points(4), vg.Points(2)
	if left {
		style.XAlign, labels.Offset.X = draw.XRight, vg.Points(-4)
	}
	labels.TextStyle = []text.Style{style}
	p.Add(labels)
	return nil
}

// horizontals are lines to read values by.
type horizontals struct{}

// Plot draws them at the labelled ticks of the y axis.
func (horizontals) Plot(c draw.Canvas, p *plot.Plot) {
	_, y := p.Transforms(&c)
	for _, tick := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		if at := y(tick.Value); tick.Label != "" && c.ContainsY(at) {
			c.StrokeLine2(draw.LineStyle{Color: grid, Width: vg.Points(0.4)}, c.Min.X, at, c.Max.X, at)
		}
	}
}

// figure is a plot with what belongs to it, as the page shows it.
type figure struct {
	SVG  template.HTML
	Note string
	Keys []Key
}

// matrix is a plot of cells.
type matrix struct {
	label, x, y string
	names       []string
	cells       [][]float64 // from row to column; 0: empty
}

// The methods of plotter.GridXYZ. The first row is at the top.

func (m matrix) Dims() (c, r int) { return len(m.names), len(m.names) }
func (m matrix) X(c int) float64  { return float64(c) }
func (m matrix) Y(r int) float64  { return float64(r) }
func (m matrix) Z(c, r int) float64 { // its Y axis points up
	if v := m.cells[len(m.names)-1-r][c]; v > 0 {
		return v
	}
	return math.NaN()
}

// ramp is the palette of a matrix, from little to much.
type ramp struct{}

// Colors makes it a palette.Palette.
func (ramp) Colors() []color.Color {
	var out []color.Color
	for i := range heats {
		out = append(out, heat+paint(i))
	}
	return out
}

// draw draws the cells; the darkest one has most.
func (m matrix) draw(most float64) (template.HTML, error) {
	if most == 0 {
		return "", nil
	}
	p := newPlot(m.x, m.y)
	h := plotter.NewHeatMap(m, ramp{})
	h.Min, h.Max = 0, most
	p.Add(h)
	var columns, rows plot.ConstantTicks
	for i, name := range m.names {
		columns = append(columns, plot.Tick{Value: float64(i), Label: name})
		rows = append(rows, plot.Tick{Value: float64(len(m.names) - 1 - i), Label: name})
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = columns, rows
	p.X.Tick.Label.Rotation, p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = math.Pi/2, draw.XRight, draw.YCenter
	side := vg.Points(max(260, 150+13*float64(len(m.names))))
	return svg(p, side, side, m.label)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
