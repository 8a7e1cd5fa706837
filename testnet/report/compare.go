package report

import (
	"math"
	"strconv"
)

// Row is one figure of two runs.
type Row struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit,omitempty"` // s, B, B/s, part, ×; empty: a number
	A     float64 `json:"a"`
	B     float64 `json:"b"`
	Ratio float64 `json:"ratio,omitempty"` // B / A, where A is not 0

	gaps bool // 0 is not a figure: the run does not know it, or has none
}

// Text writes a figure of this row.
func (r Row) Text(v float64) string {
	if r.gaps && v == 0 {
		return "–"
	}
	switch r.Unit {
	case "s":
		return seconds(v)
	case "B":
		return size(v)
	case "B/s":
		return rate(v)
	case "part":
		return percent(v)
	case "":
		if v == math.Trunc(v) {
			return strconv.FormatFloat(v, 'f', 0, 64)
		}
	}
	return significant(v)
}

// Times writes the ratio.
func (r Row) Times() string {
	if r.A == 0 || r.gaps && r.B == 0 {
		return "–"
	}
	return significant(r.Ratio) + " ×"
}

// Compare puts the figures of two runs side by side. Those of which neither run says anything are not there.
func Compare(a, b Summary) []Row {
	var out []Row
	put := func(row Row) {
		if row.A == 0 && row.B == 0 {
			return
		}
		if row.A != 0 && !(row.gaps && row.B == 0) {
			row.Ratio = row.B / row.A
		}
		out = append(out, row)
	}
	add := func(name, unit string, a, b float64) { put(Row{Name: name, Unit: unit, A: a, B: b}) }
	known := func(name, unit string, a, b float64) { put(Row{Name: name, Unit: unit, A: a, B: b, gaps: true}) }
	add("nodes", "", float64(a.Nodes), float64(b.Nodes))
	add("the run took", "s", a.Seconds, b.Seconds)
	x, y := a.Transfers, b.Transfers
	add("fetches that ended well", "", float64(x.Done), float64(y.Done))
	add("fetches that failed", "", float64(x.Failed), float64(y.Failed))
	add("content that arrived", "B", x.Bytes, y.Bytes)
	known("until the last receiver had it", "s", x.Last, y.Last)
	known("the bound", "s", x.Bound, y.Bound)
	known("times the bound", "×", x.Times, y.Times)
	known("a fetch, median", "s", x.Median, y.Median)
	known("a fetch, slowest", "s", x.Slowest, y.Slowest)
	add("came twice", "part", x.Duplicate, y.Duplicate)
	add("greatest rate, all nodes", "B/s", x.Peak, y.Peak)
	add("sent by those who only gave", "B", x.Seeded, y.Seeded)
	add("look-ups", "", float64(a.Lookups.Count), float64(b.Lookups.Count))
	add("look-ups that found somebody", "part", a.Lookups.Found, b.Lookups.Found)
	known("a look-up, median", "s", a.Lookups.Median, b.Lookups.Median)
	known("a look-up, 95th of 100", "s", a.Lookups.P95, b.Lookups.P95)
	known("peers asked by a look-up", "", a.Lookups.Asked, b.Lookups.Asked)
	known("hops of a look-up", "", a.Lookups.Hops, b.Lookups.Hops)
	known("memory of a node, greatest", "B", a.Machine.Memory, b.Machine.Memory)
	known("memory of a node, average", "B", a.Machine.Average, b.Machine.Average)
	known("CPU of all nodes", "s", a.Machine.CPU, b.Machine.CPU)
	add("expectations that hold", "", float64(a.Held), float64(b.Held))
	add("expectations that do not", "", float64(a.Expected-a.Held), float64(b.Expected-b.Held))
	add("copies that differ", "", float64(a.Corrupt), float64(b.Corrupt))
	return out
}
