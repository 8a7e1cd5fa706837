package sim

import "time"

// Watch is how somebody sees what happens. What it calls must change nothing; the run is the same with and without it.
type Watch struct {
	Every time.Duration          // between two looks
	Look  func(v View)           // nil: nobody looks
	Done  func(v View, host int) // a host has everything; nil: nobody is told
	Stop  func() bool            // asked now and then; true ends the run
}

// stopEvery is how many entries of the queue there are between two questions whether to stop.
const stopEvery = 1 << 14

// View is the net as it is when it is asked; after the run, as it was at the end.
type View struct{ net *net }

// Seen is what a host is like.
type Seen struct {
	Here      bool
	Peers     int
	Has       int64 // bytes of the file
	Received  int64 // bytes, since it came last
	Sent      int64 // the same
	Duplicate int64 // bytes that were of no use, here already or called off on their way, since it came first
}

// Now is the virtual time.
func (v View) Now() time.Duration { return time.Duration(v.net.now) }

// Host looks at one host.
func (v View) Host(i int) Seen {
	x := &v.net.hosts[i]
	s := Seen{Here: x.here, Peers: len(x.links), Received: x.received - x.before.received, Sent: x.sent - x.before.sent, Has: int64(len(v.net.sizes)-x.missing) * int64(v.net.sc.Size)}
	if x.owns() {
		s.Has = v.net.total
	}
	s.Duplicate = x.received - x.useful - x.useless
	for _, l := range x.links {
		s.Duplicate -= v.net.links[l].partial
	}
	s.Duplicate = max(s.Duplicate, 0)
	return s
}

// Fed lists how many bytes of whole and right chunks each connection has brought, those that have brought any. Two hosts that were
// joined more than once come more than once.
func (v View) Fed(tell func(from, to int, bytes int64)) {
	for i := range v.net.links {
		if l := &v.net.links[i]; l.fed > 0 {
			tell(int(l.to), int(l.from), l.fed)
		}
	}
}

// look calls whoever looks, and comes again as long as something else happens.
func (n *net) look() {
	n.sc.Watch.Look(View{n})
	if len(n.queue.heap) > 0 {
		n.queue.add(n.now+int64(n.sc.Watch.Every), look, 0, 0, 0)
	}
}
