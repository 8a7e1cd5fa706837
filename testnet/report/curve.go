package report

import (
	"math"
	"slices"

	"gonum.org/v1/plot/plotter"
)

// curve is a figure over time. When it has too many points, every second one goes.
type curve struct {
	points plotter.XYs
	gap    float64 // seconds that lie between two points at least; the last one is always there
}

// add takes a point that is not earlier than the last.
func (c *curve) add(t, v float64) {
	n := len(c.points)
	if n >= 2 && t-c.points[n-2].X < c.gap {
		c.points[n-1] = plotter.XY{X: t, Y: v}
		return
	}
	c.points = append(c.points, plotter.XY{X: t, Y: v})
	if len(c.points) <= curvePoints {
		return
	}
	kept := c.points[:0]
	for i, p := range c.points {
		if i%2 == 0 || i == len(c.points)-1 {
			kept = append(kept, p)
		}
	}
	c.points = kept
	c.gap = max(2*c.gap, 2*(t-c.points[0].X)/curvePoints)
}

// at is the curve's value at a time, on a straight line between its points; before the first one it has none.
func (c *curve) at(t float64) (float64, bool) {
	i, exact := slices.BinarySearchFunc(c.points, t, func(p plotter.XY, t float64) int {
		switch {
		case p.X < t:
			return -1
		case p.X > t:
			return 1
		}
		return 0
	})
	switch {
	case exact:
		return c.points[i].Y, true
	case i == 0:
		return 0, false
	case i == len(c.points):
		return c.points[i-1].Y, true
	}
	a, b := c.points[i-1], c.points[i]
	return a.Y + (b.Y-a.Y)*(t-a.X)/(b.X-a.X), true
}

// spread is what stands for many curves: their least, tenth, median, ninetieth and greatest value over time.
func spread(curves []*curve, from, to float64) [5]plotter.XYs {
	var out [5]plotter.XYs
	const steps = curvePoints
	values := make([]float64, 0, len(curves))
	for i := range steps + 1 {
		t := from + (to-from)*float64(i)/steps
		values = values[:0]
		for _, c := range curves {
			if v, ok := c.at(t); ok {
				values = append(values, v)
			}
		}
		if len(values) == 0 {
			continue
		}
		slices.Sort(values)
		for q, share := range [5]float64{0, 0.1, 0.5, 0.9, 1} {
			out[q] = append(out[q], plotter.XY{X: t, Y: quantile(values, share)})
		}
	}
	return out
}

// quantile is the value below which a share of the sorted ones lies; 0 of none.
func quantile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(math.Round(share*float64(len(sorted)-1)))]
}

// flow is an amount that moves over time, in equal bins that widen as time goes on.
type flow struct {
	width float64 // seconds
	bins  []float64
}

// add spreads an amount evenly over the time in which it moved.
func (f *flow) add(from, to, amount float64) {
	if amount <= 0 {
		return
	}
	if f.width == 0 {
		f.width = 0.05
	}
	for to >= f.width*rateBins {
		half := f.bins[:0]
		for i := 0; i < len(f.bins); i += 2 {
			sum := f.bins[i]
			if i+1 < len(f.bins) {
				sum += f.bins[i+1]
			}
			half = append(half, sum)
		}
		f.bins, f.width = half, f.width*2
	}
	first, last := int(from/f.width), int(to/f.width)
	for len(f.bins) <= last {
		f.bins = append(f.bins, 0)
	}
	if first == last {
		f.bins[last] += amount
		return
	}
	for i := first; i <= last; i++ {
		inside := min(to, float64(i+1)*f.width) - max(from, float64(i)*f.width)
		f.bins[i] += amount * inside / (to - from)
	}
}

// rates are the amounts a second, over time.
func (f *flow) rates() plotter.XYs {
	var out plotter.XYs
	for i, v := range f.bins {
		out = append(out, plotter.XY{X: (float64(i) + 0.5) * f.width, Y: v / f.width})
	}
	return out
}

// sums are the amounts so far, over time.
func (f *flow) sums() plotter.XYs {
	out, sum := plotter.XYs{{}}, 0.0
	for i, v := range f.bins {
		sum += v
		out = append(out, plotter.XY{X: float64(i+1) * f.width, Y: sum})
	}
	return out
}

// counter adds up a figure that begins anew when its node does.
type counter struct {
	last   int64
	before float64 // what it had come to when it began anew; made-up events cannot make it overflow
}

// set takes the figure as it is now and returns by how much it has grown.
func (c *counter) set(v int64) int64 {
	if v < c.last {
		c.before, c.last = c.before+float64(c.last), 0
	}
	grown := v - c.last
	c.last = v
	return grown
}

func (c *counter) total() float64 { return c.before + float64(c.last) }
