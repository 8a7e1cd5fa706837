package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

// listFlags gives a command that may run a node of its own the lists of peers.
func (a *app) listFlags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&a.typed.Allow, "allow", nil, "peer IDs to connect with, and with nobody else (default: anybody)")
	a.blockFlag(cmd)
}

func (a *app) blockFlag(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&a.typed.Block, "block", nil, "peer IDs never to connect with")
}

// term is the value of --expires: how long a ticket is good for.
type term time.Duration

func (t *term) String() string {
	if *t == 0 {
		return ""
	}
	return time.Duration(*t).String()
}

func (*term) Type() string { return "duration" }

func (t *term) Set(text string) error {
	d, err := time.ParseDuration(text)
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		d, err = time.ParseDuration(days + "h")
		d *= 24
	}
	if err != nil || d < time.Second {
		return fmt.Errorf("write it as 30m, 24h or 7d")
	}
	*t = term(d)
	return nil
}

func (t term) seconds() float64 { return time.Duration(t).Seconds() }

// termsText says who may have a share; nothing if everybody may.
func termsText(t node.Terms) string {
	who := ""
	switch {
	case t.Limited && len(t.Allow) == 0:
		who = "given to nobody"
	case t.Limited:
		ids := make([]string, 0, len(t.Allow))
		for _, id := range t.Allow {
			ids = append(ids, short(id))
		}
		who = "only for " + strings.Join(ids, ", ")
		if t.Private {
			who += ", with the ticket"
		}
	case t.Private:
		who = "private: only for those with the ticket"
	}
	if who == "" && !t.Expires.IsZero() {
		return "the ticket is good " + endText(t.Expires)
	}
	return join(who, endText(t.Expires))
}

func endText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return "until " + t.Local().Format("2006-01-02 15:04:05")
}

// printTicket prints what a ticket is to, and the ticket itself.
func (a *app) printTicket(cid, ticket string, t node.Terms) error {
	_, err := fmt.Fprintf(a.out, "cid     %s\nticket  %s\n", content.Printable(cid), content.Printable(ticket))
	if text := termsText(t); text != "" {
		a.remark("%s", text)
	}
	return err
}
