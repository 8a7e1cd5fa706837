package node

import (
	"fmt"
	"strings"
)

// tableFacts are about the routing table of one DHT.
type tableFacts struct {
	name    string
	size    int // nodes in it
	trouble error
}

// wide is about what finds and reaches nodes beyond the neighbours.
func (f facts) wide() []Finding {
	out := f.tables()
	if f.reach == nil {
		for _, check := range []string{"nat", "reachability", "relay"} {
			out = append(out, Finding{Check: check, State: Unasked, Detail: "not asked in network " + string(f.network)})
		}
		return out
	}
	return append(out, f.nat(), f.reachability(), f.relay())
}

// tables is about the DHTs.
func (f facts) tables() (out []Finding) {
	if len(f.dhts) == 0 {
		return []Finding{{Check: "dht", State: Unasked, Detail: "none in network " + string(f.network) + ", or switched off"}}
	}
	for _, t := range f.dhts {
		x := Finding{Check: "dht", State: Good, Detail: fmt.Sprintf("%s: %s known", t.name, plural(t.size, "node"))}
		if t.trouble != nil {
			x.State, x.Detail = Doubtful, t.name+": "+t.trouble.Error()
			x.Cause = "no neighbour takes part in it, and no bootstrap peer was named or answers"
			x.Next = "name one that stays with --bootstrap MULTIADDR; tickets and mDNS do without it"
		}
		out = append(out, x)
	}
	return out
}

func (f facts) nat() Finding {
	x := Finding{Check: "nat", State: Good, Detail: fmt.Sprintf("TCP: %s, UDP: %s", f.reach.TCP, f.reach.UDP)}
	switch {
	case f.reach.TCP == NATSymmetric || f.reach.UDP == NATSymmetric:
		x.State = Doubtful
		x.Cause = "the router takes another port for each destination, so no hole can be punched if the other side has such a router too"
		x.Next = "forward port 4747, TCP and UDP, to this machine, or use a relay with room for files (--relay-peer)"
	case f.reach.TCP == NATUnknown && f.reach.UDP == NATUnknown:
		x.State = Doubtful
		x.Cause = "fewer than two peers outside have said where they see this node"
		x.Next = "name relays or bootstrap peers (--relay-peer, --bootstrap), and try again after a minute"
	}
	return x
}

// reachability is what peers found who dialled back (AutoNAT v2).
func (f facts) reachability() Finding {
	x := Finding{Check: "reachability", State: Good}
	switch r := f.reach; {
	case len(r.Open) > 0:
		x.Detail = "reached from outside at " + strings.Join(r.Open, ", ")
	case len(r.Closed) > 0:
		x.State, x.Detail = Doubtful, "not reached from outside at "+strings.Join(r.Closed, ", ")
		x.Cause = "a NAT or a firewall lets nobody in who was not called"
		x.Next = "peers behind a NAT still come through a hole punched with a relay's help; others need a forwarded port"
	default:
		x.State, x.Detail = Unasked, "no peer has tried yet"
	}
	return x
}

func (f facts) relay() Finding {
	x := Finding{Check: "relay", State: Good}
	switch r := f.reach; {
	case r.Serves:
		x.Detail = "this node is one"
	case len(r.Relays) > 0:
		x.Detail = "found through " + plural(len(r.Relays), "relay")
	case len(r.Open) > 0 || r.TCP == NATNone:
		x.Detail = "none, and none is needed"
	default:
		x.State, x.Detail = Doubtful, "none"
		x.Cause = "no relay was named, none of the bootstrap peers is one, or none has room"
		x.Next = "name one with --relay-peer MULTIADDR; 'shoal serve --network public --relay' makes one"
	}
	return x
}
