package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

func (a *app) findCommand() *cobra.Command {
	var timeout time.Duration
	var all bool
	cmd := &cobra.Command{
		Use:   "find REF",
		Short: "List who is said to have something",
		Long: `Asks the DHTs of the network for providers of what REF names, and lists them as they are named: peer, the route by which it was
found, and after what time. dht-lan is the DHT of the local network, dht the one beyond (--network public). Nobody has
checked whether they do have it; get does. When nobody has told the DHT, the nodes that can be reached are asked themselves, and the
route is then another one, such as mdns. It ends when the next few nodes that are asked name nobody new; --all asks everybody who
could know, in case some of them lie. With --json, each provider is an object on a line of its own.`,
		Args: exactly("REF"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := a.ref(args[0])
			if err != nil {
				return err
			}
			return a.find(cmd.Context(), node.FindRequest{Ref: ref.text, Timeout: (&sought{timeout: timeout}).seconds(), All: all})
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", node.DefaultPatience, "how long to look; 0 is until enough have been asked")
	cmd.Flags().BoolVar(&all, "all", false, "ask all nodes that could know, not only until nobody new is named")
	return cmd
}

func (a *app) find(ctx context.Context, request node.FindRequest) error {
	shown := make(map[string]bool) // by an earlier node, if that went away
	return a.with(ctx, func(ctx context.Context, s *session) error {
		var broken error
		found, err := s.Find(ctx, request, func(e node.Event) {
			if e.Kind != "provider" {
				s.tell.event(e)
				return
			}
			if shown[e.Route+e.Peer] || broken != nil {
				return
			}
			s.tell.stop()
			shown[e.Route+e.Peer] = true
			broken = a.printProvider(node.Provider{Peer: e.Peer, Addrs: e.Addrs, Route: e.Route, Seconds: e.Seconds})
			s.tell = a.progress("asking whether others have it, too")
		})
		s.tell.stop()
		if err == nil {
			err = broken
		}
		if err == nil && !a.json {
			a.remark("%s in %s, from %s", count(len(found.Providers), "provider", "providers"), latency(found.Seconds), count(int(found.Asked), "node", "nodes"))
		}
		return err
	})
}

func (a *app) printProvider(p node.Provider) error {
	if a.json {
		return printJSON(a.out, p)
	}
	text := fmt.Sprintf("%s  %s, %s\n", content.Printable(p.Peer), content.Printable(p.Route), latency(p.Seconds))
	for _, addr := range p.Addrs {
		text += "  " + content.Printable(addr) + "\n"
	}
	_, err := fmt.Fprint(a.out, text)
	return err
}

// latency is a short time for people.
func latency(seconds float64) string {
	if seconds < 1 {
		return fmt.Sprintf("%.0f ms", seconds*1000)
	}
	return fmt.Sprintf("%.1f s", seconds)
}
