package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

var errUnwell = errors.New("something does not work")

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor [TICKET|PEER]",
		Short: "Say what works, and what to do about what does not",
		Long: `Looks at the network interfaces, multicast, neighbours, ports, the firewall, the clock and the disk, and prints what works, the
probable cause of what does not, and the next step. Ends with exit code 1 if something failed.

With a ticket, a multiaddr that ends in /p2p/ID, or the ID of a peer that 'shoal nearby' lists, it also measures the path there: how
it is reached, the round trip, what one raw stream carries (at most 128 MiB and 2 seconds each way), and what would hold up a get.
With -, it reads a ticket from standard input, with @FILE from a file.`,
		Example: "  shoal doctor\n  shoal doctor shoal1…\n  shoal doctor /ip4/192.168.1.7/tcp/4747/p2p/12D3KooW…",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var request node.DoctorRequest
			if len(args) > 0 {
				request.Ref = args[0]
			}
			if request.Ref == "-" || strings.HasPrefix(request.Ref, "@") { // a ticket, which need not stand where other users of this machine can read it
				ref, err := a.ref(request.Ref)
				if err != nil {
					return err
				}
				request.Ref = ref.text
			}
			return a.with(cmd.Context(), func(ctx context.Context, s *session) error {
				d, err := s.Doctor(ctx, request, s.tell.event)
				s.tell.stop()
				if err != nil {
					return err
				}
				if a.json {
					err = printJSON(a.out, d)
				} else {
					_, err = fmt.Fprint(a.out, diagnosisText(d))
				}
				if err == nil && !d.OK {
					return &quiet{errUnwell} // everything has been said
				}
				return err
			})
		},
	}
}

// marks are the states of findings in the table.
var marks = map[string]string{node.Good: "ok", node.Doubtful: "?", node.Failed: "FAIL", node.Unasked: "-"}

func diagnosisText(d node.Diagnosis) string {
	var b strings.Builder
	line := func(mark, name, text string) {
		fmt.Fprintf(&b, "%-4s  %-12s  %s\n", mark, content.Printable(name), content.Printable(text))
	}
	for _, f := range d.Findings {
		line(marks[f.State], f.Check, f.Detail)
		if f.Cause != "" {
			line("", "", "probably: "+f.Cause)
		}
		if f.Next != "" {
			line("", "", "next: "+f.Next)
		}
	}
	if d.Path != nil {
		b.WriteString("\n")
		pathText(*d.Path, line)
	}
	return b.String()
}

func pathText(p node.Path, line func(mark, name, text string)) {
	mark := "ok"
	if p.Error != "" {
		mark = "FAIL"
	}
	line(mark, "path", "to "+short(p.Peer)+", "+join(p.Transport, p.Addr))
	if p.Addr != "" {
		how := "direct"
		if p.Relayed {
			how = "relayed, limited"
		}
		line("", "route", join(how, found(p.Route)))
	}
	if p.Connect > 0 {
		line("", "connect", milliseconds(p.Connect))
	}
	if p.RTT > 0 {
		line("", "round trip", milliseconds(p.RTT))
	}
	if p.Down > 0 || p.Up > 0 {
		line("", "raw stream", rate(p.Down)+" from it, "+rate(p.Up)+" to it")
		line("", "disks", "ours writes "+knownRate(p.OurDisk)+", theirs "+knownRate(p.TheirDisk))
		line("", "bottleneck", p.Bottleneck)
	}
	if p.Error != "" {
		line("", "", p.Error)
	}
	if p.Next != "" {
		line("", "", "next: "+p.Next)
	}
}

func knownRate(r float64) string {
	if r <= 0 {
		return "unknown"
	}
	return rate(r)
}

// milliseconds writes a short time.
func milliseconds(seconds float64) string {
	if !(seconds >= 0) || math.IsInf(seconds, 0) {
		return "?"
	}
	return significant(seconds*1000) + " ms"
}
