package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/discovery"
	"github.com/shoal-p2p/shoal/store"
)

// facts are what an examination has found out, before it is judged.
type facts struct {
	network   Network
	trouble   error            // of mDNS
	report    discovery.Report // zero if there is no mDNS
	answered  bool             // this node's own question
	others    int              // that answered it
	askErr    error
	listens   []multiaddr.Multiaddr
	chosen    bool // the user named them
	rules     string
	rulesErr  error
	neighbour []asked
	dhts      []tableFacts
	reach     *Reach // nil unless the network is public
	disk      store.Disk
	diskErr   error
	now       time.Time
}

// Doctor examines the node and its surroundings, and measures the path to a peer if the request names one.
func (n *Node) Doctor(ctx context.Context, r DoctorRequest, emit func(Event)) (Diagnosis, error) {
	var to *subject
	if r.Ref != "" {
		var err error
		if to, err = n.subject(ctx, r.Ref, emit); err != nil {
			return Diagnosis{}, err
		}
	}
	d := Diagnosis{OK: true}
	switch {
	case r.Only && to == nil:
		return d, fmt.Errorf("%w: a path leads to somebody: name a ticket, a multiaddr or a peer", ErrUsage)
	case !r.Only:
		f, err := n.examine(ctx, emit)
		if err != nil {
			return Diagnosis{}, err
		}
		d.Findings = judge(f)
	}
	if to != nil {
		emit(Event{Kind: "connecting", Message: "measuring the path to " + short(to.info.ID)})
		path := n.measure(ctx, to)
		d.Path = &path
		d.OK = path.Error == ""
	}
	if ctx.Err() != nil {
		return d, fmt.Errorf("%w: the request was cancelled", ErrStopped)
	}
	d.OK = d.OK && !slices.ContainsFunc(d.Findings, func(f Finding) bool { return f.State == Failed })
	return d, nil
}

func (n *Node) examine(ctx context.Context, emit func(Event)) (facts, error) {
	f := facts{network: n.config.Network, listens: n.host.Network().ListenAddresses(), chosen: len(n.config.Listen) > 0}
	if err := n.listenFirst(ctx, emit); err != nil {
		return f, err
	}
	if n.mdns != nil {
		emit(Event{Kind: "finding", Message: "asking everybody on this network"})
		f.answered, f.others, f.askErr = n.mdns.Ask(ctx)
		f.trouble, f.report = n.mdns.Trouble(), n.mdns.Report()
	}
	f.neighbour = n.askNeighbours(ctx)
	for _, d := range n.dhts {
		f.dhts = append(f.dhts, tableFacts{routeNames[d.Routes()[0]], d.Size(), d.Trouble()})
	}
	if r, err := n.Reach(ctx); err == nil {
		f.reach = &r
	}
	f.rules, f.rulesErr = firewallRules(ctx)
	emit(Event{Kind: "note", Message: "trying the disk"})
	f.disk, f.diskErr = n.store.TryDisk(ctx)
	f.now = time.Now()
	if ctx.Err() != nil {
		return f, fmt.Errorf("%w: the request was cancelled", ErrStopped)
	}
	return f, nil
}

// judge says what the facts mean.
func judge(f facts) []Finding {
	out := []Finding{f.interfaces(), f.multicast(), f.neighbours(), f.ports(), f.firewall()}
	out = append(out, f.wide()...)
	return append(out, f.clock(), f.room(), f.speed())
}

func (f facts) interfaces() Finding {
	switch {
	case f.network == Isolated:
		return Finding{Check: "interfaces", State: Unasked, Detail: "network isolated looks for nobody"}
	case len(f.report.Interfaces) == 0:
		return Finding{
			Check: "interfaces", State: Failed, Detail: "none has a private address and carries multicast",
			Cause: "not connected to a network, or only to one of public addresses, a tunnel or a mobile line",
			Next:  "connect to the network of the others, or pass them a ticket",
		}
	}
	return Finding{Check: "interfaces", State: Good, Detail: strings.Join(f.report.Interfaces, ", ")}
}

func (f facts) multicast() Finding {
	x := Finding{Check: "multicast", State: Good, Detail: "what this node announces comes back, and its own question is answered"}
	const blocked = "a firewall on this machine keeps UDP port 5353 closed, or another program has that port to itself"
	const open = "let UDP port 5353 in, from 224.0.0.251 and ff02::fb; until then, tickets and --peer work without it"
	switch {
	case f.network == Isolated:
		return Finding{Check: x.Check, State: Unasked, Detail: "network isolated does not use it"}
	case len(f.report.Interfaces) == 0:
		return Finding{Check: x.Check, State: Unasked, Detail: "there is no interface for it"}
	case f.trouble != nil:
		x.State, x.Detail, x.Cause, x.Next = Failed, f.trouble.Error(), blocked, open
	case f.report.Echoes == 0 && !f.answered:
		x.State, x.Detail, x.Cause, x.Next = Failed, "this node does not hear its own announcement, and nothing answers its question", blocked, open
		if f.askErr != nil {
			x.Detail += ": " + f.askErr.Error()
		}
	case f.report.Echoes == 0:
		x.State, x.Detail, x.Cause, x.Next = Doubtful, "this node does not hear its own announcement, but its question is answered", blocked, open
	case !f.answered:
		x.State, x.Detail = Doubtful, "this node's announcement comes back, but its own question is not answered to it alone"
		x.Cause, x.Next = "a firewall that lets in only what it knows; neighbours are found all the same, a second later", "nothing, unless neighbours are missing"
	}
	return x
}

func (f facts) neighbours() Finding {
	met, silent := 0, 0
	for _, a := range f.neighbour {
		if a.Error == "" {
			met++
		} else {
			silent++
		}
	}
	x := Finding{Check: "neighbours", State: Good, Detail: fmt.Sprintf(
		"%s (%d answered just now, %d found in the last minute), %d of them say who they are",
		plural(met+silent, "node"), f.others, f.report.Peers, met)}
	unreachable := slices.IndexFunc(f.neighbour, func(a asked) bool { return strings.HasPrefix(a.Error, "cannot be reached") })
	switch {
	case f.network == Isolated && met+silent == 0:
		return Finding{Check: x.Check, State: Unasked, Detail: "network isolated looks for nobody, and nobody is connected"}
	case met+silent == 0 && f.others == 0:
		x.State, x.Detail = Doubtful, "nobody else is heard"
		x.Cause = "no other node runs here, it has --network isolated, or the switch or access point keeps its clients apart (guest networks do)"
		x.Next = "start one with 'shoal serve' and ask again; where clients are kept apart, use a cable or another network"
	case met == 0 && unreachable >= 0:
		x.State, x.Detail = Failed, fmt.Sprintf("%s announced, none can be reached: %s", plural(met+silent, "node is", "nodes are"), f.neighbour[unreachable].Error)
		x.Cause, x.Next = "a firewall on their side, or an access point that lets only multicast through", "run 'shoal doctor' there, too"
	}
	return x
}

func (f facts) ports() Finding {
	x := Finding{Check: "ports", State: Good}
	var tcp, quic, other []string
	for _, m := range f.listens {
		text := fmt.Sprint(portOf(m))
		if isQUIC(m) {
			quic = append(quic, text)
		} else {
			tcp = append(tcp, text)
		}
		if portOf(m) != DefaultPort {
			other = append(other, text)
		}
	}
	list := func(name string, ports []string) string {
		if len(ports) == 0 {
			return "no " + name
		}
		slices.Sort(ports)
		return name + " " + strings.Join(slices.Compact(ports), ", ")
	}
	x.Detail = "listens on " + list("TCP", tcp) + " and " + list("UDP (QUIC)", quic)
	switch {
	case len(f.listens) == 0:
		x.State, x.Detail = Failed, "listens on nothing, so nobody can connect"
		x.Cause, x.Next = "no port could be opened", "end the node and start it with --listen /ip4/0.0.0.0/tcp/0"
	case len(other) > 0 && !f.chosen:
		x.State = Doubtful
		x.Cause = fmt.Sprintf("another program has port %d, perhaps another node of this machine", DefaultPort)
		x.Next = fmt.Sprintf("nothing on a network without firewalls; else free port %d, or open the port above", DefaultPort)
	}
	return x
}

func (f facts) firewall() Finding {
	port := DefaultPort
	if len(f.listens) > 0 {
		port = portOf(f.listens[0])
	}
	switch {
	case f.rulesErr != nil:
		return Finding{Check: "firewall", State: Unasked, Detail: f.rulesErr.Error()}
	case dropsByDefault(f.rules):
		return Finding{
			Check: "firewall", State: Doubtful, Detail: "what is not let in by name is dropped",
			Cause: "a rule like that is usual, and its exceptions were not read",
			Next:  fmt.Sprintf("if others cannot reach this node, let in TCP and UDP port %d and UDP port 5353", port),
		}
	}
	return Finding{Check: "firewall", State: Good, Detail: "none on this machine that drops by default"}
}

func (f facts) clock() Finding {
	const most = 2 * time.Minute
	x := Finding{Check: "clock", State: Good}
	var offsets []time.Duration
	for _, a := range f.neighbour {
		if a.clocked {
			offsets = append(offsets, a.offset)
		}
	}
	slices.Sort(offsets)
	wrong := "this machine's clock, or theirs, is not set by the network"
	switch {
	case f.now.Year() < 2024:
		x.State, x.Detail, x.Cause = Failed, "it is "+f.now.Format("2006-01-02")+" here", "the clock was never set"
	case len(offsets) > 0:
		median := offsets[len(offsets)/2]
		x.Detail = "within a second of " + plural(len(offsets), "neighbour")
		if median.Abs() > time.Second {
			x.Detail = fmt.Sprintf("%v behind the median of %s", median.Round(time.Second), plural(len(offsets), "neighbour"))
			if median < 0 {
				x.Detail = fmt.Sprintf("%v ahead of the median of %s", -median.Round(time.Second), plural(len(offsets), "neighbour"))
			}
		}
		if median.Abs() > most {
			x.State, x.Cause = Doubtful, wrong
		}
	case f.diskErr == nil && f.disk.Write > 0 && f.disk.Ahead.Abs() > most:
		x.State, x.Cause = Doubtful, "the home lies on another machine whose clock differs"
		x.Detail = fmt.Sprintf("the file system's differs by %v", f.disk.Ahead.Abs().Round(time.Second))
	default:
		x.State, x.Detail = Unasked, "no neighbour to compare it with"
	}
	if x.Cause != "" {
		x.Next = "set the clock by NTP (timedatectl set-ntp true)"
	}
	return x
}

func (f facts) room() Finding {
	const little, scarce = 1 << 30, 64 << 20
	x := Finding{Check: "disk space", State: Good, Detail: fmt.Sprintf("%.1f GiB free where the index lies", float64(f.disk.Free)/(1<<30))}
	switch {
	case f.diskErr != nil && f.disk.Free == 0:
		x.State, x.Detail, x.Cause, x.Next = Failed, f.diskErr.Error(), "the disk is gone or not readable", "check it, or choose another home with --home"
	case f.disk.Free < scarce:
		x.State, x.Cause, x.Next = Failed, "the disk is full, so that nothing more can be shared or fetched", "make room"
	case f.disk.Free < little:
		x.State, x.Cause, x.Next = Doubtful, "the disk is nearly full", "make room"
	}
	return x
}

func (f facts) speed() Finding {
	const slowWrite, slowSync = 10e6, 200 * time.Millisecond
	x := Finding{Check: "disk speed", State: Good, Detail: fmt.Sprintf("writes %.0f MB/s, and makes sure of a write in %.1f ms",
		f.disk.Write/1e6, float64(f.disk.Sync)/1e6)}
	switch {
	case f.diskErr != nil && !errors.Is(f.diskErr, context.Canceled):
		x.State, x.Detail, x.Cause, x.Next = Failed, f.diskErr.Error(), "the disk is read-only, full or failing", "check it, or choose another home with --home"
	case f.disk.Write == 0:
		x.State, x.Detail = Unasked, "too little room to try"
	case f.disk.Write < slowWrite || f.disk.Sync > slowSync:
		x.State, x.Cause, x.Next = Doubtful, "a slow disk (SD card, network file system), or one that is busy", "fetch to another disk if downloads are slow"
	}
	return x
}
