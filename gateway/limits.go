package gateway

import "time"

// Limits bounds what callers may take. A zero field has the default.
type Limits struct {
	Body    int64         // bytes of a request; defaultBody
	Clients int           // requests at a time; defaultClients
	Header  time.Duration // for a whole request to come in; defaultHeader
	Beat    time.Duration // of silence before a beat; defaultBeat
}

const (
	// A request is a handful of paths and addresses: a body without a bound would be a way to fill the memory.
	defaultBody = 1 << 20

	// Every request is a goroutine and a descriptor, and some stay for as long as a download takes.
	defaultClients = 64

	// The kernel delivers in microseconds; who takes longer holds a descriptor for nothing.
	defaultHeader = 5 * time.Second

	// Short enough that a client can tell within seconds that a node has died, long enough to cost nothing.
	defaultBeat = 2 * time.Second

	// Connections that are open before their request is known, as a multiple of the clients: the rest is closed unread.
	crowd = 4

	// Requests carry a few short headers.
	maxHeader = 16 << 10 // bytes

	// Requests are flat objects with arrays in them. A decoder that recurses would pay for what nobody needs.
	maxDepth = 8

	// For requests to say how they ended when the server stops; their connections are closed then.
	grace = time.Second

	// The client's bound for a line of an answer: against a program that is no node, as a node's lines are far shorter.
	maxLine = 256 << 20 // bytes

	// The client gives a node up after this many beats without a word.
	lostBeats = 10
)

func (l Limits) withDefaults() Limits {
	if l.Body == 0 {
		l.Body = defaultBody
	}
	if l.Clients == 0 {
		l.Clients = defaultClients
	}
	if l.Header == 0 {
		l.Header = defaultHeader
	}
	if l.Beat == 0 {
		l.Beat = defaultBeat
	}
	return l
}
