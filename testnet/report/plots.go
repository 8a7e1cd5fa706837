package report

import (
	"cmp"
	"fmt"
	"slices"

	"gonum.org/v1/plot/plotter"
)

// cast are the runs of a page: one, whose groups have colours, or two, each of which has one.
type cast struct {
	runs  []*Run
	names []string // of runs, if there are two
}

func (c cast) two() bool { return len(c.runs) > 1 }

// paint is the colour of a node of the ith run.
func (c cast) paint(i int, n *node) paint {
	if c.two() {
		return hue(i)
	}
	return hue(slices.Index(c.runs[i].groups.names, n.group))
}

// origin is the time from which the ith run is drawn: where there are two, the first fetch of each.
func (c cast) origin(i int) float64 {
	if !c.two() {
		return 0
	}
	first := -1.0
	for _, l := range c.runs[i].legs() {
		if first < 0 || l.first < first {
			first = l.first
		}
	}
	return max(first, 0)
}

func (c cast) time() string {
	if c.two() {
		return "seconds since the first fetch"
	}
	return "seconds since the run began"
}

// keys say which colour is which.
func (c cast) keys() []Key {
	var out []Key
	if c.two() {
		for i, name := range c.names {
			out = append(out, Key{hue(i), name})
		}
		return out
	}
	for i, name := range c.runs[0].groups.names {
		if i == shownLegend {
			return append(out, Key{hue(i), "and so on, in the same colours"})
		}
		out = append(out, Key{hue(i), clean(name)})
	}
	return out
}

// faults are the moments at which something was done to the network. Two runs have theirs at different times, and show none.
func (c cast) faults() []float64 {
	if c.two() {
		return nil
	}
	var out []float64
	for _, e := range c.runs[0].happened {
		if e.Kind == "cut" || e.Kind == "down" || e.Kind == "up" || e.Kind == "link" {
			out = append(out, e.T)
		}
	}
	return out
}

// track is one node's curve.
type track struct {
	curve *curve
	paint paint
}

// many are the lines for the tracks of the ith run: one for each, or where there are too many, their spread.
func (c cast) many(i int, tracks []track) (lines []line, note string) {
	from := c.origin(i)
	if len(tracks) <= shownCurves {
		for _, t := range tracks {
			l := line{shifted(t.curve.points, from), t.paint, thick}
			if len(tracks) > shownLegend {
				l.paint, l.width = t.paint.among(), thin
			}
			lines = append(lines, l)
		}
		return lines, ""
	}
	curves := make([]*curve, 0, len(tracks))
	for _, t := range tracks {
		curves = append(curves, t.curve)
	}
	for q, points := range spread(curves, from, c.runs[i].now) {
		l := line{shifted(points, from), hue(i).among(), thin}
		if q == 2 {
			l.paint, l.width = hue(i), thick
		}
		lines = append(lines, l)
	}
	return lines, fmt.Sprintf("%d nodes are too many to draw one by one: the lines are their least, tenth, median (thick), ninetieth and "+
		"greatest of 100.", len(tracks))
}

// add takes the lines of a run. If they are a spread, groups have no colours.
func (ch *chart) add(c cast, lines []line, note string) {
	ch.lines = append(ch.lines, lines...)
	if note == "" {
		return
	}
	ch.note = note
	if !c.two() {
		ch.keys = nil
	}
}

func shifted(points plotter.XYs, from float64) plotter.XYs {
	if from == 0 {
		return points
	}
	out := make(plotter.XYs, 0, len(points))
	for _, p := range points {
		if p.X >= from {
			out = append(out, plotter.XY{X: p.X - from, Y: p.Y})
		}
	}
	return out
}

// completion is how far each node was with each content, and when the bound would have had all of them ready.
func (c cast) completion() ([]figure, error) {
	var items []string
	fetches := map[string]int{}
	for _, r := range c.runs {
		for _, it := range r.contents.each() {
			if fetches[it.name] == 0 && len(it.fetches.names) > 0 {
				items = append(items, it.name)
			}
			fetches[it.name] += len(it.fetches.names)
		}
	}
	slices.SortStableFunc(items, func(a, b string) int { return cmp.Compare(fetches[b], fetches[a]) })
	left := max(0, len(items)-shownItems)
	var out []figure
	for _, name := range items[:len(items)-left] {
		f, err := c.completionOf(name)
		if err != nil {
			return nil, err
		}
		if f.SVG != "" {
			out = append(out, f)
		}
	}
	if left > 0 && len(out) > 0 {
		out[len(out)-1].Note += fmt.Sprintf(" %s more, which fewer nodes fetched, are not drawn.", count(left, "content"))
	}
	return out, nil
}

func (c cast) completionOf(name string) (figure, error) {
	ch := chart{
		label: "Completion of " + clean(name), x: c.time(), y: "% of " + clean(name), unit: 0.01, top: 100,
		fault: c.faults(), keys: c.keys(),
	}
	for i, r := range c.runs {
		it, ok := r.contents.get(name)
		if !ok {
			continue
		}
		var tracks []track
		for _, f := range it.fetches.each() {
			tracks = append(tracks, track{&f.progress, c.paint(i, f.node)})
		}
		lines, note := c.many(i, tracks)
		ch.add(c, lines, note)
		for _, l := range r.legs() {
			if l.item == clean(name) && l.bound > 0 && len(ch.bound) < shownBounds {
				ch.bound = append(ch.bound, mark{l.first + l.bound - c.origin(i), c.boundText(i, l)})
			}
		}
	}
	return ch.draw()
}

func (c cast) boundText(i int, l leg) string {
	words := "bound " + seconds(l.bound)
	switch {
	case c.two():
		return words + ", " + c.names[i]
	case len(c.runs[i].legs()) > 1:
		return words + ", " + l.group
	}
	return words
}

// throughput is what moved a second, and what had to move on average to meet the bound.
func (c cast) throughput() (figure, error) {
	ch := chart{label: "Throughput", x: c.time(), fault: c.faults()}
	most := 0.0
	for i, r := range c.runs {
		if !c.two() && len(r.sent) <= hues {
			for _, group := range sortedKeys(r.sent) {
				n := slices.Index(r.groups.names, group)
				ch.lines = append(ch.lines, line{r.sent[group].rates(), hue(n), thin})
				ch.keys = append(ch.keys, Key{hue(n), "sent by " + clean(group)})
			}
		}
		arrived := line{shifted(r.arrived.rates(), c.origin(i)), ink, thick}
		key := Key{ink, "content arriving at all nodes"}
		if c.two() {
			arrived.paint, key = hue(i), Key{hue(i), "content arriving at all nodes, " + c.names[i]}
		}
		if len(arrived.points) > 0 {
			ch.lines, ch.keys = append(ch.lines, arrived), append(ch.keys, key)
		}
		if legs := r.legs(); len(legs) == 1 && legs[0].bound > 0 {
			l := legs[0]
			words := "average at the bound"
			if c.two() {
				words += ", " + c.names[i]
			}
			for _, it := range r.contents.each() {
				if needed := float64(it.size) * float64(l.fetches) / l.bound; clean(it.name) == l.item {
					ch.level = append(ch.level, mark{needed, words})
					most = max(most, needed)
				}
			}
		}
	}
	for _, l := range ch.lines {
		most = max(most, greatest(l.points))
	}
	unit, bytes := unitOf(most)
	ch.unit, ch.y = bytes, unit+"/s"
	return ch.draw()
}

func greatest(points plotter.XYs) float64 {
	most := 0.0
	for _, p := range points {
		most = max(most, p.Y)
	}
	return most
}

// duplicates are the bytes that came for nothing, so far.
func (c cast) duplicates() (figure, error) {
	ch := chart{label: "Duplicates", x: c.time(), fault: c.faults()}
	most := 0.0
	for i, r := range c.runs {
		if len(r.twice.bins) == 0 {
			continue
		}
		points := r.twice.sums()
		if last := points[len(points)-1]; last.X < r.now { // and nothing more until the end
			points = append(points, plotter.XY{X: r.now, Y: last.Y})
		}
		points = shifted(points, c.origin(i))
		most = max(most, greatest(points))
		ch.lines = append(ch.lines, line{points, hue(i), thick})
	}
	if c.two() {
		ch.keys = c.keys()
	}
	unit, bytes := unitOf(most)
	ch.unit, ch.y = bytes, unit+" that came twice"
	return ch.draw()
}

// searches show how long look-ups took, as the part of them that had ended by then, and how many hops they made.
func (c cast) searches() ([]figure, error) {
	times := chart{label: "Times of look-ups", x: "seconds that a look-up took", y: "% of look-ups", unit: 0.01, top: 100}
	hops := chart{label: "Hops of look-ups", x: "hops of a look-up", y: "% of look-ups", unit: 0.01, whole: true}
	for i, r := range c.runs {
		if len(r.lookups) == 0 {
			continue
		}
		took := make([]float64, 0, len(r.lookups))
		made := make([]int, 0, len(r.lookups))
		for _, l := range r.lookups {
			took, made = append(took, l.seconds), append(made, l.hops)
		}
		times.lines = append(times.lines, line{distribution(took), hue(i), thick})
		if slices.Max(made) > 0 { // the runner may not know
			hops.lines = append(hops.lines, line{histogram(made), hue(i), thick})
		}
	}
	if c.two() {
		times.keys, hops.keys = c.keys(), c.keys()
	}
	return drawn(times, hops)
}

// drawn are the charts that have something in them.
func drawn(charts ...chart) ([]figure, error) {
	var out []figure
	for _, ch := range charts {
		f, err := ch.draw()
		if err != nil {
			return nil, err
		}
		if f.SVG != "" {
			out = append(out, f)
		}
	}
	return out, nil
}

// distribution is the part of some values that is not above each of them.
func distribution(values []float64) plotter.XYs {
	slices.Sort(values)
	out := plotter.XYs{{}}
	step := max(1, len(values)/(2*curvePoints))
	for i := step - 1; i < len(values); i += step {
		out = append(out, plotter.XY{X: values[i], Y: float64(i+1) / float64(len(values))})
	}
	return append(out, plotter.XY{X: values[len(values)-1], Y: 1})
}

// histogram is the outline of bars, one for each whole number.
func histogram(values []int) plotter.XYs {
	var bars [shownHops + 1]float64
	last := 0
	for _, v := range values {
		i := min(v, shownHops)
		bars[i] += 1 / float64(len(values))
		last = max(last, i)
	}
	out := plotter.XYs{{X: -0.5}}
	for i, part := range bars[:last+1] {
		out = append(out, plotter.XY{X: float64(i) - 0.5, Y: part}, plotter.XY{X: float64(i) + 0.5, Y: part})
	}
	return append(out, plotter.XY{X: float64(last) + 0.5})
}

// resources are the memory and the processor time that nodes took.
func (c cast) resources() ([]figure, error) {
	memory := chart{label: "Memory of nodes", x: c.time(), fault: c.faults(), keys: c.keys()}
	load := chart{label: "Processor time of nodes", x: c.time(), y: "% of a core", unit: 0.01, fault: c.faults(), keys: c.keys()}
	most := 0.0
	for i, r := range c.runs {
		var sizes, loads []track
		for _, n := range r.nodes.each() {
			if len(n.memory.points) > 0 {
				sizes = append(sizes, track{&n.memory, c.paint(i, n)})
				most = max(most, n.peak)
			}
			if len(n.load.points) > 0 {
				loads = append(loads, track{&n.load, c.paint(i, n)})
			}
		}
		lines, note := c.many(i, sizes)
		memory.add(c, lines, note)
		lines, note = c.many(i, loads)
		load.add(c, lines, note)
	}
	unit, bytes := unitOf(most)
	memory.unit, memory.y = bytes, unit
	return drawn(memory, load)
}
