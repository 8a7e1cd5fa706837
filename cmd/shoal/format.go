package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

// size writes bytes for people: three digits and a binary unit.
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n) / 1024
	unit := 0
	for ; f >= 999.5 && unit < len(units)-1; unit++ {
		f /= 1024
	}
	return significant(f) + " " + units[unit]
}

var units = []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

func significant(f float64) string {
	switch {
	case f < 9.995:
		return strconv.FormatFloat(f, 'f', 2, 64)
	case f < 99.95:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'f', 0, 64)
}

func rate(bytesPerSecond float64) string {
	if !(bytesPerSecond > 0) || bytesPerSecond > math.MaxInt64/2 {
		return "0 B/s"
	}
	return size(int64(bytesPerSecond)) + "/s"
}

// count writes a number with its thousands set apart, and the word for that many.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s + " " + many
}

// span writes a number of seconds.
func span(seconds float64) string {
	switch {
	case !(seconds >= 0) || seconds > 100*365*24*3600:
		return "?"
	case seconds < 10:
		return fmt.Sprintf("%.1f s", seconds)
	case seconds < 120:
		return fmt.Sprintf("%.0f s", seconds)
	case seconds < 2*3600:
		return fmt.Sprintf("%d min %02d s", int(seconds)/60, int(seconds)%60)
	case seconds < 48*3600:
		return fmt.Sprintf("%d h %02d min", int(seconds)/3600, int(seconds)/60%60)
	}
	return fmt.Sprintf("%d days", int(seconds)/(24*3600))
}

// took writes what a transfer moved, in which time and how fast.
func took(bytes int64, seconds float64) string {
	s := size(bytes) + " in " + span(seconds)
	if seconds > 0 && bytes > 0 {
		s += ", " + rate(float64(bytes)/seconds)
	}
	return s
}

// short is the part of a peer ID that a person can compare.
func short(id string) string {
	if len(id) > 8 {
		return "…" + content.Printable(id[len(id)-8:])
	}
	return content.Printable(id)
}

// printJSON writes v on one line.
func printJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(escape(text), '\n'))
	return err
}

// escape replaces what a terminal might obey or reorder by escapes, which mean the same to who reads the JSON.
func escape(text []byte) []byte {
	if utf8.Valid(text) && !strings.ContainsFunc(string(text), obeyed) {
		return text
	}
	out := make([]byte, 0, len(text)+64)
	for _, r := range string(text) {
		if !obeyed(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		if r >= 0x10000 {
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x`, hi)
			r = lo
		}
		out = fmt.Appendf(out, `\u%04x`, r)
	}
	return out
}

func obeyed(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }

// describe is an event in one line.
func describe(e node.Event) string {
	amount := size(e.Bytes)
	if e.Total > 0 {
		amount = fmt.Sprintf("%s of %s (%d %%)", size(e.Bytes), size(e.Total), percent(e.Bytes, e.Total))
	}
	switch e.Kind {
	case "hashing":
		return join("hashing "+amount, files(e.Files), speed(e.Rate), eta(e.ETA))
	case "checking":
		return join("checking "+amount, files(e.Files), speed(e.Rate), eta(e.ETA))
	case "fetching":
		return join("fetching "+amount, speed(e.Rate), peers(e.Peers), eta(e.ETA))
	case "seeding":
		return join("seeding: "+size(e.Bytes)+" given", speed(e.Rate), peers(e.Peers), eta(e.ETA))
	case "tree":
		return join("learning what is in it", count(e.Blocks, "block", "blocks"), peers(e.Peers))
	case "syncing":
		return "making sure that the disk holds it"
	case "done":
		return "done"
	case "finding", "waiting":
		return e.Kind + ": " + e.Message
	case "starting", "connecting", "note":
		return e.Message
	}
	return join(e.Kind, e.Message)
}

func percent(part, whole int64) int { return int(float64(part) / float64(whole) * 100) }

func files(n int) string {
	if n == 0 {
		return ""
	}
	return count(n, "file", "files")
}

func peers(n int) string {
	if n == 0 {
		return ""
	}
	return count(n, "peer", "peers")
}

func speed(r float64) string {
	if !(r > 0) {
		return ""
	}
	return rate(r)
}

func eta(seconds float64) string {
	if !(seconds > 0) {
		return ""
	}
	return span(math.Ceil(seconds)) + " to go"
}

func join(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, ", ")
}

// day writes a moment for people.
func day(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// printSkipped tells of files that were left out: all of them, as each is one that the user may miss.
func (a *app) printSkipped(skipped []node.Skipped) {
	for _, s := range skipped {
		a.remark("skipped %s: %s", content.Printable(s.Path), s.Reason)
	}
}
