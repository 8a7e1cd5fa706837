package report

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
)

// feeding shows who fed whom: a matrix of the nodes that gave and took most, and a table of groups.
type feeding struct {
	SVG    template.HTML
	Note   string
	Most   string // of one cell
	Groups []string
	Rows   []feedRow
}

type feedRow struct {
	From  string
	Cells []string // to each group
}

func (r *Run) feeding() (feeding, error) {
	moved := map[[2]string]float64{}
	part := map[string]float64{} // that a node has in all
	var f feeding
	for way, c := range r.fed {
		moved[[2]string{way.from, way.to}] += c.total()
		part[way.from] += c.total()
		part[way.to] += c.total()
	}
	if len(part) == 0 {
		return f, nil
	}
	names := sortedKeys(part)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(part[b], part[a]) })
	if len(names) > shownFeeders {
		f.Note = fmt.Sprintf("The matrix has the %d of %d nodes that gave and took most.", shownFeeders, len(names))
		names = names[:shownFeeders]
	}
	order := r.nodes.names
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(slices.Index(order, a), slices.Index(order, b)) })
	m := matrix{label: "Who fed whom", x: "receiver", y: "giver"}
	for _, from := range names {
		row := make([]float64, 0, len(names))
		for _, to := range names {
			row = append(row, moved[[2]string{from, to}])
		}
		m.cells = append(m.cells, row)
		m.names = append(m.names, brief(from))
	}
	most := 0.0
	for _, row := range m.cells {
		most = max(most, slices.Max(row))
	}
	f.Most = size(most)
	f.Groups, f.Rows = r.feedingGroups(moved)
	var err error
	f.SVG, err = m.draw(most)
	return f, err
}

// brief is a name that fits beside a row of a matrix.
func brief(name string) string {
	const most = 16
	if runes := []rune(clean(name)); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return clean(name)
}

func (r *Run) feedingGroups(moved map[[2]string]float64) (groups []string, rows []feedRow) {
	names := r.groups.names
	if len(names) > shownFeeders {
		return nil, nil // the matrix of nodes says as much
	}
	sums := map[[2]string]float64{}
	for way, bytes := range moved {
		from, _ := r.nodes.get(way[0])
		to, _ := r.nodes.get(way[1])
		sums[[2]string{from.group, to.group}] += bytes
	}
	for _, from := range names {
		row := feedRow{From: clean(from)}
		for _, to := range names {
			row.Cells = append(row.Cells, size(sums[[2]string{from, to}]))
		}
		groups, rows = append(groups, clean(from)), append(rows, row)
	}
	return groups, rows
}

// nodeRow is a node in the table.
type nodeRow struct {
	Name, Group, Role, Peer, Link, State string
	Took                                 string
	Received, Sent, Twice, Memory, CPU   string

	slowest float64
}

// table lists the nodes, the slowest first.
func (r *Run) table() (rows []nodeRow, left int) {
	for _, n := range r.nodes.each() {
		row := nodeRow{
			Name: clean(n.name), Group: clean(n.group), Role: clean(n.role), Peer: tail(n.peer), Link: link(n.up, n.down), State: cmp.Or(n.state, "runs"),
			Received: amount(n.received.total()), Sent: amount(n.sent.total()), Memory: amount(n.peak), CPU: "–", Took: "–", Twice: "–",
		}
		if used := n.cpu.total(); used > 0 {
			row.CPU = seconds(used / 1000)
		}
		twice := 0.0
		for _, f := range n.fetches {
			twice += f.duplicate.total()
			switch {
			case f.failed != "":
				row.Took, row.slowest = "failed", maxTime+1
			case !f.done && row.slowest <= maxTime:
				row.Took, row.slowest = "not done", maxTime
			case f.done && f.took >= row.slowest:
				row.Took, row.slowest = seconds(f.took), f.took
			}
		}
		if len(n.fetches) > 0 {
			row.Twice = size(twice)
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b nodeRow) int { return cmp.Compare(b.slowest, a.slowest) })
	if len(rows) > shownNodes {
		return rows[:shownNodes], len(rows) - shownNodes
	}
	return rows, 0
}

func amount(bytes float64) string {
	if bytes == 0 {
		return "–"
	}
	return size(bytes)
}

// tail is the part of a peer ID that a person can compare.
func tail(id string) string {
	id = clean(id)
	if len(id) > 8 && !strings.HasSuffix(id, "…") {
		return "…" + id[len(id)-8:]
	}
	return id
}

// happening is something that was done to the network, or befell it.
type happening struct{ At, What string }

func (r *Run) happenings() (out []happening, left int) {
	for i, e := range r.happened {
		if i == shownEvents {
			return out, len(r.happened) - i
		}
		what, name := clean(e.Reason), clean(e.Node)
		switch e.Kind {
		case "up":
			what = name + " runs again"
		case "down":
			what = name + ": " + cmp.Or(what, "stopped")
		case "link":
			what = name + " now has a link of " + link(e.Up, e.Down)
		case "failed":
			what = name + " gave up " + clean(e.Content) + ": " + what
		case "verified":
			what = "the copy of " + clean(e.Content) + " at " + name + " differs from the original"
		case "cut":
			what = cut(e.Sides)
		default:
			what = strings.TrimPrefix(name+": "+what, ": ")
		}
		out = append(out, happening{seconds(e.T), what})
	}
	return out, 0
}

func cut(sides [][]string) string {
	if len(sides) == 0 {
		return "the network is whole again"
	}
	var parts []string
	for _, side := range sides {
		names := side
		if len(names) > shownLegend {
			names = append(slices.Clone(names[:shownLegend]), fmt.Sprintf("%d more", len(side)-shownLegend))
		}
		parts = append(parts, clean(strings.Join(names, ", ")))
	}
	return "the network is cut: " + strings.Join(parts, " | ")
}

// verdict is an expectation and what came of it.
type verdict struct {
	OK              bool
	Name, Want, Got string
}

func (r *Run) verdicts() []verdict {
	var out []verdict
	for _, e := range r.expected {
		out = append(out, verdict{e.OK, clean(e.Name), clean(e.Want), clean(e.Got)})
	}
	return out
}
