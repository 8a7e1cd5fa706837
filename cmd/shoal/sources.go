package main

import (
	"fmt"
	"strings"

	"golang.org/x/text/width"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

const (
	sourcesShown  = 8  // lines below the progress, at most
	sourcesNamed  = 4  // in one line
	sourcesSummed = 16 // lines of a summary
)

// way says how a peer is reached.
func way(s node.Source) string {
	if s.Relayed {
		return "relayed"
	}
	return "direct"
}

// sourceLines lists who gives (who takes, for a node that seeds) and what came twice, in at most most lines of up to columns
// columns. What matters least stands last, where a narrow terminal cuts it off.
func sourceLines(e node.Event, most, columns int) []string {
	if most <= 0 {
		return nil
	}
	last := ""
	if e.Duplicate > 0 && (most > 1 || len(e.Sources) == 0) {
		last = "  " + twice(e.Duplicate)
		most--
	}
	shown := len(e.Sources)
	if shown > most {
		shown = max(0, most-1)
	}
	var out []string
	for _, s := range e.Sources[:shown] {
		speed, bytes := moved(e.Kind, s)
		out = append(out, fmt.Sprintf("  %-9s  %10s  %8s  %-7s  %s", short(s.Peer), rate(speed), size(bytes), way(s), s.Addr))
	}
	if rest := e.Sources[shown:]; len(rest) > 0 {
		var speed float64
		var bytes int64
		for _, s := range rest {
			r, b := moved(e.Kind, s)
			speed, bytes = speed+r, bytes+b
		}
		out = append(out, fmt.Sprintf("  %-9s  %10s  %8s", fmt.Sprintf("%d more", len(rest)), rate(speed), size(bytes)))
	}
	if last != "" {
		out = append(out, last)
	}
	for i := range out {
		out[i] = clip(content.Printable(out[i]), columns)
	}
	return out
}

// moved is what a source is listed for.
func moved(kind string, s node.Source) (rate float64, bytes int64) {
	if kind == "seeding" {
		return s.UpRate, s.Sent
	}
	return s.Rate, s.Bytes
}

// twice says how much came for nothing; empty if nothing did.
func twice(bytes int64) string {
	if bytes <= 0 {
		return ""
	}
	return size(bytes) + " came twice"
}

// sourcesText names the sources of a fetch in one line.
func sourcesText(e node.Event) string {
	var parts []string
	for _, s := range e.Sources[:min(len(e.Sources), sourcesNamed)] {
		parts = append(parts, fmt.Sprintf("%s (%s)", short(s.Peer), join(way(s), size(s.Bytes), speed(s.Rate))))
	}
	text := "from " + strings.Join(parts, ", ")
	if more := len(e.Sources) - len(parts); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return join(text, twice(e.Duplicate))
}

// printSources tells at the end of a fetch who delivered what part of it.
func (a *app) printSources(e node.Event) {
	came := e.Duplicate
	for _, s := range e.Sources {
		came += s.Bytes
	}
	for i, s := range e.Sources {
		if i == sourcesSummed {
			a.remark("  and %d more", len(e.Sources)-i)
			break
		}
		a.remark("  %s", strings.TrimRight(fmt.Sprintf("%-9s  %8s  %5s  %-7s  %s", short(s.Peer), size(s.Bytes), portion(s.Bytes, came-e.Duplicate), way(s), s.Addr), " "))
	}
	if e.Duplicate > 0 {
		a.remark("  %s, %s of what came", twice(e.Duplicate), portion(e.Duplicate, came))
	}
}

// portion is part of whole in percent, rounded; but only all of it is 100 %.
func portion(part, whole int64) string {
	switch {
	case whole <= 0 || part <= 0:
		return "0 %"
	case part*100 < whole:
		return "<1 %"
	}
	p := int(float64(part)/float64(whole)*100 + 0.5)
	if part < whole {
		p = min(p, 99)
	}
	return fmt.Sprintf("%d %%", p)
}

// clip cuts a line to so many columns of a terminal.
func clip(line string, columns int) string {
	used := 0
	for i, r := range line {
		w := 1
		switch width.LookupRune(r).Kind() {
		case width.EastAsianWide, width.EastAsianFullwidth:
			w = 2
		}
		if used+w > columns {
			return cut(line[:i], columns)
		}
		used += w
	}
	return line
}

// cut ends a line that fills its columns with a sign that there is more of it.
func cut(line string, columns int) string {
	if columns < 1 {
		return ""
	}
	r := []rune(line)
	return string(r[:max(0, len(r)-1)]) + "…"
}
