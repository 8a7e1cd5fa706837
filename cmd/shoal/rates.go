package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/node"
)

// rateFlags gives a command that may run a node of its own the limits on how fast content moves.
func (a *app) rateFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Var((*rateFlag)(&a.typed.Rates.Up), "up-rate", "bytes a second to send at most, to all peers together: 800k, 5M, 1.5MiB, 20Mbit; 0 is no limit")
	f.Var((*rateFlag)(&a.typed.Rates.Down), "down-rate", "bytes a second to receive at most, from all peers together")
	f.Var((*rateFlag)(&a.typed.Rates.PeerUp), "peer-up-rate", "bytes a second to send at most to each peer")
	f.Var((*rateFlag)(&a.typed.Rates.PeerDown), "peer-down-rate", "bytes a second to receive at most from each peer")
	f.BoolVar(&a.typed.Rates.ExemptLAN, "exempt-lan", false, "leave peers on the local network out of these limits")
}

// rateFlag is a rate that a user typed, in bytes a second.
type rateFlag int64

func (r *rateFlag) Set(text string) (err error) {
	n, err := parseRate(text)
	*r = rateFlag(n)
	return err
}

func (r *rateFlag) String() string {
	if *r == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*r), 10)
}

func (*rateFlag) Type() string { return "RATE" }

// rateUnits are what may follow a number. A single letter is binary, as in curl, wget and rsync, and so is what Shoal prints.
var rateUnits = map[string]float64{
	"": 1, "b": 1,
	"k": 1 << 10, "m": 1 << 20, "g": 1 << 30,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
	"kb": 1e3, "mb": 1e6, "gb": 1e9,
	"kbit": 1e3 / 8, "mbit": 1e6 / 8, "gbit": 1e9 / 8,
}

var errRate = errors.New("write it as 800k, 5M, 1.5MiB (powers of 1024), 2MB (of 1000) or 20Mbit, a second; 0 is no limit")

// parseRate understands a number with a unit as bytes a second.
func parseRate(text string) (int64, error) {
	number := strings.TrimRightFunc(text, func(c rune) bool { return c < '0' || c > '9' })
	unit := strings.ToLower(strings.TrimSpace(text[len(number):]))
	per, known := rateUnits[strings.TrimSuffix(unit, "/s")]
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !known || !(n >= 0) || n*per >= math.MaxInt64/2 || strings.ContainsAny(number, "xXpPeE_+") {
		return 0, errRate
	}
	v := int64(n * per)
	if n > 0 && v < node.LeastRate {
		return 0, fmt.Errorf("the lowest limit is %s/s, and 0 is none", size(node.LeastRate))
	}
	return v, nil
}

// limits writes rates for people; nothing if there are none.
func limits(r node.Rates) string {
	each := func(what string, v int64) string {
		if v == 0 {
			return ""
		}
		return rate(float64(v)) + " " + what
	}
	text := join(each("up", r.Up), each("down", r.Down), each("up to a peer", r.PeerUp), each("down from a peer", r.PeerDown))
	if text != "" && r.ExemptLAN {
		text += "; none on the local network"
	}
	return text
}
