package main

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/testnet"
)

func TestLinkFlagsChangeWhatWasTyped(t *testing.T) {
	was := testnet.Link{Up: 1, Down: 2, Delay: time.Second, Loss: 0.5, MTU: 1400}
	for args, want := range map[string]testnet.Link{
		"":                              was,
		"--rate 8Mbit":                  {Up: 1e6, Down: 1e6, Delay: time.Second, Loss: 0.5, MTU: 1400},
		"--rate 8Mbit --up 0":           {Up: 0, Down: 1e6, Delay: time.Second, Loss: 0.5, MTU: 1400},
		"--down 2MB/s --delay 0":        {Up: 1, Down: 2e6, Loss: 0.5, MTU: 1400},
		"--loss 0% --mtu 0":             {Up: 1, Down: 2, Delay: time.Second},
		"--loss 0.25% --jitter 10ms":    {Up: 1, Down: 2, Delay: time.Second, Jitter: 10 * time.Millisecond, Loss: 0.0025, MTU: 1400},
		"--loss 100% --mtu 576 --up 1k": {Up: 1024, Down: 2, Delay: time.Second, Loss: 1, MTU: 576},
	} {
		var l linkFlags
		cmd := &cobra.Command{}
		l.register(cmd)
		if err := cmd.ParseFlags(strings.Fields(args)); err != nil {
			t.Errorf("%s: %v", args, err)
			continue
		}
		if got := l.change(was); got != want || l.typed() != (args != "") {
			t.Errorf("%q makes %+v of it, want %+v", args, got, want)
		}
	}
}

func TestLinksAreShownInBits(t *testing.T) {
	for text, want := range map[string]string{"100Mbit": "100 Mbit/s", "20kbit": "20 kbit/s", "10Gbit": "10 Gbit/s", "2.5Mbit": "2.5 Mbit/s", "1MB": "8 Mbit/s"} {
		var r linkRate
		if err := r.Set(text); err != nil || bits(float64(r)) != want {
			t.Errorf("%s is shown as %s, want %s", text, bits(float64(r)), want)
		}
	}
}

func TestLinkFlagsRefuseNonsense(t *testing.T) {
	for _, args := range []string{"--rate fast", "--rate -1", "--loss 5", "--loss -1%", "--loss 101%", "--loss NaN%", "--delay 5", "--mtu big"} {
		var l linkFlags
		cmd := &cobra.Command{}
		l.register(cmd)
		if err := cmd.ParseFlags(strings.Fields(args)); err == nil {
			t.Errorf("%s is taken", args)
		}
	}
}
