// Command vulncheck runs govulncheck over the module and fails on every vulnerability whose code Shoal calls, but for a
// short list of exceptions. Each exception says why it stands and when it ends, so that none outlives its reason.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// exception lets one vulnerability pass until a day.
type exception struct {
	id     string
	reason string
	until  string // the last day on which it counts, as 2006-01-02
}

var exceptions = []exception{{
	id: "GO-2024-3218",
	reason: "kad-dht: sybils can hide content; no version fixes it. Shoal never depends on the DHT alone: tickets, remembered " +
		"providers, mDNS and peer exchange come first",
	until: "2027-06-30",
}}

// message is one value of govulncheck's JSON stream; only what is needed here.
type message struct {
	OSV *struct {
		ID      string `json:"id"`
		Summary string `json:"summary"`
	} `json:"osv"`
	Finding *finding `json:"finding"`
}

type finding struct {
	OSV          string `json:"osv"`
	FixedVersion string `json:"fixed_version"`
	Trace        []struct {
		Module   string `json:"module"`
		Version  string `json:"version"`
		Package  string `json:"package"`
		Function string `json:"function"`
	} `json:"trace"`
}

func main() {
	db := flag.String("db", "", "vulnerability database, as a URL; empty for govulncheck's own")
	flag.Parse()
	if err := run(*db, time.Now()); err != nil {
		fmt.Fprintln(os.Stderr, "vulncheck:", err)
		os.Exit(1)
	}
}

func run(db string, now time.Time) error {
	args := []string{"tool", "govulncheck", "-format", "json", "-test"}
	if db != "" {
		args = append(args, "-db", db)
	}
	cmd := exec.Command("go", append(args, "./...")...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	found, parseErr := called(out)
	if err := errors.Join(parseErr, cmd.Wait()); err != nil {
		return fmt.Errorf("govulncheck: %w", err)
	}
	return judge(found, now)
}

// called reads govulncheck's stream and returns, by vulnerability, one line about it, for those whose code is reached by a call.
func called(r io.Reader) (map[string]string, error) {
	found := map[string]string{}
	summary := map[string]string{}
	dec := json.NewDecoder(r)
	for {
		var m message
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if m.OSV != nil {
			summary[m.OSV.ID] = m.OSV.Summary
		}
		if f := m.Finding; f != nil && len(f.Trace) > 0 && f.Trace[0].Function != "" {
			at := f.Trace[0]
			fix := "no fixed version"
			if f.FixedVersion != "" {
				fix = "fixed in " + f.FixedVersion
			}
			found[f.OSV] = fmt.Sprintf("%s@%s, %s.%s (%s)", at.Module, at.Version, at.Package, at.Function, fix)
		}
	}
	for id, where := range found {
		found[id] = strings.TrimPrefix(summary[id]+": "+where, ": ")
	}
	return found, nil
}

// judge prints every finding and returns an error if one of them is not excepted on the day of now.
func judge(found map[string]string, now time.Time) error {
	var bad []string
	for _, id := range slices.Sorted(maps.Keys(found)) {
		if why := excepted(id, now); why != "" {
			fmt.Printf("%s: %s\n  excepted: %s\n", id, found[id], why)
			continue
		}
		fmt.Printf("%s: %s\n", id, found[id])
		bad = append(bad, id)
	}
	if len(bad) > 0 {
		return fmt.Errorf("vulnerable code is called: %s", strings.Join(bad, ", "))
	}
	return nil
}

// excepted returns why a vulnerability is let through on the day of now, or "" if it is not.
func excepted(id string, now time.Time) string {
	for _, e := range exceptions {
		if e.id == id && now.Format(time.DateOnly) <= e.until {
			return e.reason + " (until " + e.until + ")"
		}
	}
	return ""
}
