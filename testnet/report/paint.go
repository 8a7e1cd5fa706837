package report

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"regexp"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// paint is a colour of the page, not of the plot: the library draws each in a colour that nobody would choose, and in the SVG
// that becomes a variable of the page's style, which knows of light and dark.
type paint uint8

const (
	ink   paint = iota // text and axes
	grid               // lines to read values by
	limit              // the bound
	fault              // moments at which something was done to the network
	heat               // the first of heats
)

const (
	heats  = 9           // steps of the matrix, from little to much
	strong = heat + 16   // the first of hues: one for each group or run
	faint  = strong + 16 // the same hues for what is one of many
	hues   = 8
)

// hue is the colour of the nth group.
func hue(n int) paint { return strong + paint(n%hues) }

// among is a hue for a line that is one of many.
func (p paint) among() paint { return p + (faint - strong) }

// variable is what the page's style calls a colour.
func (p paint) variable() string {
	switch {
	case p >= faint:
		return fmt.Sprintf("--faint-%d", p-faint)
	case p >= strong:
		return fmt.Sprintf("--hue-%d", p-strong)
	case p >= heat:
		return fmt.Sprintf("--heat-%d", p-heat)
	}
	return [...]string{ink: "--ink", grid: "--grid", limit: "--bound", fault: "--fault"}[p]
}

// RGBA makes a paint a color.Color.
func (p paint) RGBA() (r, g, b, a uint32) { return color.RGBA{R: 1, G: 2, B: uint8(p), A: 0xff}.RGBA() }

// Swatch is the paint as CSS, for keys beside a plot.
func (p paint) Swatch() template.CSS {
	return template.CSS("background:var(" + p.variable() + ")") //nolint:gosec // one of our own names
}

// letters is how text in plots looks. The width of letters is that of Liberation Sans, which has that of Arial.
func letters(points float64) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(points)}
}

// newPlot is an empty plot in the page's style.
func newPlot(x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	for axis, text := range map[*plot.Axis]string{&p.X: x, &p.Y: y} {
		axis.Label.Text = text
		axis.Label.TextStyle.Font, axis.Label.TextStyle.Color = letters(10), ink
		axis.Tick.Label.Font, axis.Tick.Label.Color = letters(9), ink
		axis.Color, axis.Tick.Color = grid, grid
		axis.Padding = 0
		axis.Tick.Marker = plot.TickerFunc(ticks)
	}
	return p
}

// ticks are at steps of 1, 2 or 5 times a power of ten, so that there are some six.
func ticks(from, to float64) []plot.Tick {
	rough := (to - from) / 6
	step := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, times := range []float64{2, 2.5, 2} { // 2, 5 and 10 of them
		if step < rough {
			step *= times
		}
	}
	var out []plot.Tick
	for n := math.Ceil(from / step); n*step <= to*(1+1e-9) && len(out) < 20; n++ {
		v := n*step + 0 // and never -0
		out = append(out, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', 6, 64)})
	}
	return out
}

// pixels are how many of a page make a point, for plots that do not fill the page's width.
const pixels = 1.25

var (
	styled  = regexp.MustCompile(`style="[^"]*"`) // a quote in a text is escaped, so none of these is one
	painted = regexp.MustCompile(`#0102[0-9A-F]{2}`)
	fonts   = regexp.MustCompile(`font-(family|variant|weight|style):[^;"]*;?`)
	opening = regexp.MustCompile(`(?s)^.*?<svg [^>]*>`)
)

// svg draws a plot as an element of the page.
func svg(p *plot.Plot, width, height vg.Length, label string) (_ template.HTML, err error) {
	defer func() {
		if broken := recover(); broken != nil { // the library does so when it is given what it cannot draw
			err = fmt.Errorf("plot %s: %v", label, broken)
		}
	}()
	canvas := vgsvg.New(width, height)
	p.Draw(draw.New(canvas))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return "", err
	}
	head := fmt.Sprintf(`<svg width="%g" viewBox="0 0 %g %g" role="img" aria-label="%s">`, width.Points()*pixels, width.Points(), height.Points(), template.HTMLEscapeString(label))
	if !opening.Match(b.Bytes()) {
		return "", errors.New("plot " + label + ": the library writes no SVG")
	}
	body := opening.ReplaceAllLiteral(b.Bytes(), []byte(head))
	body = styled.ReplaceAllFunc(body, func(style []byte) []byte {
		style = painted.ReplaceAllFunc(style, func(literal []byte) []byte {
			n, _ := strconv.ParseUint(string(literal[5:]), 16, 8) // two hexadecimal digits
			return []byte("var(" + paint(n).variable() + ")")
		})
		return fonts.ReplaceAllLiteral(style, nil)
	})
	return template.HTML(body), nil //nolint:gosec // all text in it was escaped by the library, which its test looks after
}
