package report

import (
	"fmt"
	"math"
	"strconv"
)

// The figures of a page, for people. Sizes have units of 1024 and rates too, as elsewhere in shoal.

func seconds(s float64) string {
	switch {
	case s < 0.01 && s > 0:
		return significant(s*1000) + " ms"
	case s < 120:
		return significant(s) + " s"
	}
	return fmt.Sprintf("%.0f min %02.0f s", math.Floor(s/60), math.Floor(math.Mod(s, 60)))
}

func significant(f float64) string {
	switch {
	case f < 9.995:
		return strconv.FormatFloat(f, 'f', 2, 64)
	case f < 99.95:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'f', 0, 64)
}

var units = []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

// unitOf is the unit in which amounts up to a greatest one read well, and its bytes.
func unitOf(most float64) (name string, bytes float64) {
	i := 0
	for bytes = 1; most/bytes >= 999.5 && i < len(units)-1; i++ {
		bytes *= 1024
	}
	return units[i], bytes
}

func size(bytes float64) string {
	name, unit := unitOf(bytes)
	if unit == 1 {
		return strconv.FormatFloat(bytes, 'f', 0, 64) + " " + name
	}
	return significant(bytes/unit) + " " + name
}

func rate(bytes float64) string { return size(bytes) + "/s" }

func percent(part float64) string { return strconv.FormatFloat(part*100, 'f', 2, 64) + " %" }

// link is a link's rates up and down.
func link(up, down float64) string {
	one := func(r float64) string {
		if r <= 0 {
			return "no limit"
		}
		return rate(r)
	}
	if up == down {
		return one(up)
	}
	return one(up) + " up, " + one(down) + " down"
}
