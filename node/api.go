package node

import (
	"errors"
	"time"
)

// Network says how far a node looks for others and who may reach it.
type Network string

const (
	// Isolated runs no discovery: the node talks to peers that are named to it and to peers that dial it.
	Isolated Network = "isolated"
	// LAN adds mDNS. Nothing is sent to, or accepted from, an address outside the private ranges.
	LAN Network = "lan"
	// Public adds the internet: any address may be dialled, and anybody may come. The node finds out how it can be reached from
	// there, keeps a place at a relay while it cannot, and punches holes into NATs.
	Public Network = "public"
)

// Known reports whether there is such a network.
func (n Network) Known() bool { return n == Isolated || n == LAN || n == Public }

// The ways a request ends badly. Each keeps its identity through the control socket, where cmd turns it into an exit code
// and a hint.
var (
	ErrUsage    = errors.New("bad request") // the request makes no sense: a malformed CID, a path that is not there
	ErrExpired  = errors.New("the ticket has expired")
	ErrNotFound = errors.New("not found")           // peers answered, and none of them has it
	ErrNoPeer   = errors.New("no peer reachable")   // nobody was there to ask, or everybody left
	ErrVerify   = errors.New("verification failed") // the content is not what its CID promises
	ErrDisk     = errors.New("disk")                // reading or writing failed: full, gone, not permitted
	ErrExists   = errors.New("already exists")      // the destination is taken and would have to be overwritten
	ErrBusy     = errors.New("home is in use")      // another process owns this home
	ErrStopped  = errors.New("interrupted")         // the request was cancelled, or the node shut down
)

// ShareRequest names what to share.
type ShareRequest struct {
	Paths  []string `json:"paths"`            // absolute; several are wrapped in one directory under their base names
	Hidden bool     `json:"hidden,omitempty"` // take in names that begin with a dot
	Listed *bool    `json:"listed,omitempty"` // whether neighbours may see it; nil: as before, and at first not

	Private bool     `json:"private,omitempty"` // only for those who have the ticket
	Allow   []string `json:"allow,omitempty"`   // peer IDs: only for them; empty is for all
	Expires float64  `json:"expires,omitempty"` // seconds from now until the ticket ends, and what is private or limited with it; 0 is never
}

// Shared is the outcome of a share.
type Shared struct {
	CID     string    `json:"cid"`
	Ticket  string    `json:"ticket"`
	Name    string    `json:"name"`
	Bytes   int64     `json:"bytes"` // of the files, not counting repeats twice on the wire
	Files   int       `json:"files"`
	Seconds float64   `json:"seconds"`
	Listed  bool      `json:"listed,omitempty"`
	Skipped []Skipped `json:"skipped,omitempty"`
	Terms
}

// Terms say who may have a share. All of it empty means everybody who can name it.
type Terms struct {
	Private bool      `json:"private,omitempty"` // whoever has the ticket, and nobody else
	Limited bool      `json:"limited,omitempty"` // the peers in Allow, and if there are none nobody
	Allow   []string  `json:"allow,omitempty"`   // peer IDs
	Expires time.Time `json:"expires,omitzero"`  // from then on nobody; of a ticket to what is for everybody: the ticket's own end
}

// TicketRequest asks for a ticket to something that is shared or was fetched.
type TicketRequest struct {
	Ref     string  `json:"ref"`
	Renew   bool    `json:"renew,omitempty"`   // of a private share: with a new secret, so that all tickets before it are worth nothing
	Expires float64 `json:"expires,omitempty"` // seconds from now; 0 is never. A private share has one end for all its tickets, so only with Renew
}

// Ticketed is a ticket, and what it is to.
type Ticketed struct {
	CID    string `json:"cid"`
	Ticket string `json:"ticket"`
	Name   string `json:"name"`
	Terms
}

// InspectRequest asks what Ref names and who has it.
type InspectRequest struct {
	Ref     string   `json:"ref"`
	Peers   []string `json:"peers,omitempty"`
	Timeout float64  `json:"timeout,omitempty"`
}

// Inspected is what can be known of content before any of it is fetched.
type Inspected struct {
	CID     string   `json:"cid"`
	Path    string   `json:"path,omitempty"` // inside it, of what was asked about
	Name    string   `json:"name,omitempty"`
	Kind    string   `json:"kind,omitempty"` // file, dir, symlink; empty if nobody told
	Bytes   int64    `json:"bytes"`          // of all files; -1 if it is not known
	Files   int      `json:"files"`
	Claimed bool     `json:"claimed,omitempty"` // only the ticket says how many bytes
	Here    bool     `json:"here"`              // this node has it
	Holders []Holder `json:"holders"`
	Entries []Entry  `json:"entries,omitempty"` // files and symlinks, the first ones in order
	More    int      `json:"more,omitempty"`    // entries that are not listed

	Ticket *TicketFacts `json:"ticket,omitempty"` // of the ticket, if Ref is one
}

// Holder is a peer that has what was inspected, or part of it.
type Holder struct {
	Peer    string `json:"peer"`
	Addr    string `json:"addr,omitempty"`
	Relayed bool   `json:"relayed"`
}

// TicketFacts is what a ticket says, but for its secret.
type TicketFacts struct {
	Peer    string    `json:"peer"`
	Addrs   []string  `json:"addrs,omitempty"`
	Own     bool      `json:"own,omitempty"`     // it leads to this node
	Private bool      `json:"private,omitempty"` // it holds a secret
	Keep    bool      `json:"keep,omitempty"`    // whoever fetches with it gives nothing on
	Expires time.Time `json:"expires,omitzero"`
	Expired bool      `json:"expired,omitempty"`
}

// Skipped is one file that was left out, and why.
type Skipped struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// FetchRequest asks for content to be written to Dest.
type FetchRequest struct {
	Ref     string   `json:"ref"`               // CID, CID/path/inside, or a ticket with an optional /path
	Dest    string   `json:"dest"`              // absolute path of the file or directory to create
	Force   bool     `json:"force,omitempty"`   // replace what stands at Dest
	Peers   []string `json:"peers,omitempty"`   // multiaddrs with /p2p/, to ask besides those that discovery finds
	Timeout float64  `json:"timeout,omitempty"` // seconds without any source before giving up; 0 means DefaultPatience
}

// CatRequest asks for bytes of one file, in order.
type CatRequest struct {
	Ref     string   `json:"ref"`
	Offset  int64    `json:"offset,omitempty"` // bytes
	Length  int64    `json:"length,omitempty"` // bytes; 0 means to the end
	Peers   []string `json:"peers,omitempty"`
	Timeout float64  `json:"timeout,omitempty"`
}

// ListRequest asks for the names under Ref, without their bytes.
type ListRequest struct {
	Ref       string   `json:"ref"`
	Recursive bool     `json:"recursive,omitempty"`
	Peers     []string `json:"peers,omitempty"`
	Timeout   float64  `json:"timeout,omitempty"`
}

// Entry is one name in a listing.
type Entry struct {
	Path   string `json:"path"`
	Kind   string `json:"kind"` // file, dir, symlink
	CID    string `json:"cid"`
	Size   int64  `json:"size"` // bytes
	Target string `json:"target,omitempty"`
	Unsafe string `json:"unsafe,omitempty"` // why this system will not create it
}

// CheckRequest asks for every byte of a share (or of all, when Ref is empty) to be read and hashed again.
type CheckRequest struct {
	Ref     string   `json:"ref,omitempty"`
	Repair  bool     `json:"repair,omitempty"` // fetch the chunks that broke in fetched files, and write them back
	Peers   []string `json:"peers,omitempty"`
	Timeout float64  `json:"timeout,omitempty"`
}

// Checked is the outcome of a check.
type Checked struct {
	Shares   int      `json:"shares"`
	Files    int      `json:"files"`
	Bytes    int64    `json:"bytes"`
	Bad      []Broken `json:"bad,omitempty"`
	Repaired int      `json:"repaired,omitempty"` // chunks
	Seconds  float64  `json:"seconds"`
}

// Broken is one file that does not hold what its CID says.
type Broken struct {
	CID    string `json:"cid"` // of the share
	Path   string `json:"path"`
	Reason string `json:"reason"`
	Chunks int    `json:"chunks,omitempty"`
}

// Share is one root that this node serves.
type Share struct {
	CID    string    `json:"cid"`
	Name   string    `json:"name"`
	Paths  []string  `json:"paths"`
	Origin string    `json:"origin"` // shared, fetched
	Bytes  int64     `json:"bytes"`
	Files  int       `json:"files"`
	Added  time.Time `json:"added"`
	Listed bool      `json:"listed,omitempty"` // neighbours may see it
	Stale  []Skipped `json:"stale,omitempty"`  // files that changed or went since they were indexed
	Terms
}

// PeerStatus is one connected peer.
type PeerStatus struct {
	ID        string   `json:"id"`
	Addrs     []string `json:"addrs"`
	Transport string   `json:"transport"` // tcp, quic, relay
	Direction string   `json:"direction"` // in, out
	Agent     string   `json:"agent,omitempty"`
	Route     string   `json:"route,omitempty"` // how it was found, as in RouteStatus
	Down      int64    `json:"down"`            // chunk bytes received from it and verified
	Up        int64    `json:"up"`              // chunk bytes sent to it
}

// Neighbour is a peer on the local network, as it answered when it was asked about itself.
type Neighbour struct {
	ID     string   `json:"id"`
	Name   string   `json:"name,omitempty"`  // what its owner calls it; empty if it does not say
	Addr   string   `json:"addr,omitempty"`  // of the connection
	Agent  string   `json:"agent,omitempty"` // the program that runs there
	Route  string   `json:"route,omitempty"` // mdns, ticket, peer, pex: how it was found
	Listed []Listed `json:"listed,omitempty"`
	More   int      `json:"more,omitempty"`  // shares that it lists beyond those
	Error  string   `json:"error,omitempty"` // why it said nothing
}

// Listed is a share that a neighbour lets others see.
type Listed struct {
	CID   string `json:"cid"`
	Name  string `json:"name,omitempty"` // as the neighbour has it: unchecked
	Bytes int64  `json:"bytes"`
	Files int    `json:"files"`
}

// Transfer is one root that moves just now, in or out or both ways.
type Transfer struct {
	CID       string   `json:"cid"`
	Name      string   `json:"name,omitempty"`
	Direction string   `json:"direction"` // down: it is being fetched; up: others fetch it; both: at the same time
	Peers     int      `json:"peers"`
	Bytes     int64    `json:"bytes"` // received in this transfer, each once
	Total     int64    `json:"total,omitempty"`
	Rate      float64  `json:"rate"` // bytes a second that come in
	Sent      int64    `json:"sent"`
	UpRate    float64  `json:"up_rate"`             // bytes a second that go out
	Duplicate int64    `json:"duplicate,omitempty"` // bytes that came for nothing: they were here, or had been called off
	Sources   []Source `json:"sources,omitempty"`   // the peers, whichever way they exchange; at most 64
}

// DoctorRequest asks for an examination.
type DoctorRequest struct {
	Ref  string `json:"ref,omitempty"`  // a ticket, a multiaddr with /p2p/ or the ID of a known peer, to which the path is measured
	Only bool   `json:"only,omitempty"` // measure the path and look at nothing else
}

// Diagnosis is what an examination found.
type Diagnosis struct {
	OK       bool      `json:"ok"` // nothing failed
	Findings []Finding `json:"findings"`
	Path     *Path     `json:"path,omitempty"`
}

// Finding is one thing that was looked at.
type Finding struct {
	Check  string `json:"check"`
	State  string `json:"state"`
	Detail string `json:"detail"`
	Cause  string `json:"cause,omitempty"` // what is probably behind it, unless all is well
	Next   string `json:"next,omitempty"`  // what the user can do
}

// The states of a finding.
const (
	Good     = "ok"
	Doubtful = "warn" // it may hold something up, or not
	Failed   = "fail"
	Unasked  = "none" // it was not looked at, and the detail says why
)

// Path is what lies between this node and a peer.
type Path struct {
	Peer       string  `json:"peer"`
	Addr       string  `json:"addr,omitempty"`
	Transport  string  `json:"transport,omitempty"` // tcp, quic
	Route      string  `json:"route,omitempty"`     // how it was found: ticket, peer, mdns, pex, inbound
	Relayed    bool    `json:"relayed"`
	Connect    float64 `json:"connect,omitempty"` // seconds until the connection stood; 0 if it was there already
	RTT        float64 `json:"rtt,omitempty"`     // seconds
	Down       float64 `json:"down,omitempty"`    // bytes a second of one raw stream from the peer
	Up         float64 `json:"up,omitempty"`
	OurDisk    float64 `json:"our_disk,omitempty"` // bytes a second that are written at each home; 0 if unknown
	TheirDisk  float64 `json:"their_disk,omitempty"`
	Bottleneck string  `json:"bottleneck,omitempty"` // of a fetch from the peer
	Error      string  `json:"error,omitempty"`
	Next       string  `json:"next,omitempty"`
}

// Status is the node at a glance.
type Status struct {
	ID         string     `json:"id"`
	Version    string     `json:"version"`
	Home       string     `json:"home"`
	PID        int        `json:"pid"`
	Network    Network    `json:"network"`
	Ephemeral  bool       `json:"ephemeral,omitempty"`
	Uptime     float64    `json:"uptime"` // seconds
	Addrs      []string   `json:"addrs"`
	Shares     int        `json:"shares"`
	Stale      int        `json:"stale"` // files
	Peers      int        `json:"peers"`
	Memory     int64      `json:"memory"`        // resident bytes
	CPU        float64    `json:"cpu,omitempty"` // seconds of processors since the process began; 0 where that is not known
	Down       int64      `json:"down"`          // chunk bytes since start
	Up         int64      `json:"up"`
	Rates      Rates      `json:"rates,omitzero"`
	Allow      []string   `json:"allow,omitempty"` // peer IDs: connections with them and nobody else
	Block      []string   `json:"block,omitempty"` // peer IDs: connections with anybody but them
	Reach      *Reach     `json:"reach,omitempty"` // on the network public
	Background Background `json:"background"`
	Transfers  []Transfer `json:"transfers,omitempty"`
}

// Background is what a node moves that is not content: mDNS, handshakes, keepalives, questions, and the framing of content. The headers
// of TCP, UDP and IP are not counted.
type Background struct {
	Down     int64   `json:"down"` // bytes since the start
	Up       int64   `json:"up"`
	DownRate float64 `json:"down_rate"` // bytes a second over the last minute
	UpRate   float64 `json:"up_rate"`
}

// Identity says who this node is and where it can be reached.
type Identity struct {
	ID    string   `json:"id"`
	Addrs []string `json:"addrs"` // with /p2p/
}

// Event is one step of a share, fetch, check or listing, as it happens. Kind is one of
//
//	hashing     Bytes of Total read and hashed, Files so far
//	finding     what is being tried to find a holder (Message, Routes)
//	connecting  a peer is being dialled or asked (Message, Peer)
//	tree        the shape of the root is being fetched: Blocks of inner nodes so far
//	checking    Bytes of Total that lie on disk already are being verified
//	fetching    Bytes of Total, Rate, Peers, ETA, Sources (at most 64, the largest first), Duplicate
//	waiting     nothing moves, and why (Message, Routes)
//	syncing     all bytes are there; the disk is made to hold them
//	note        a remark for the user that changes nothing (Message)
//	provider    Peer at Addrs is said to have the root; by which Route that was found, and Seconds after what time
//	done        the last event of a fetch: CID, Path, Bytes, Seconds, all Sources, Duplicate
type Event struct {
	Kind      string        `json:"event"`
	Message   string        `json:"message,omitempty"`
	CID       string        `json:"cid,omitempty"`
	Path      string        `json:"path,omitempty"`
	Peer      string        `json:"peer,omitempty"`
	Addrs     []string      `json:"addrs,omitempty"`
	Route     string        `json:"route,omitempty"`
	Bytes     int64         `json:"bytes,omitempty"`
	Total     int64         `json:"total,omitempty"`
	Files     int           `json:"files,omitempty"`
	Blocks    int           `json:"blocks,omitempty"`
	Rate      float64       `json:"rate,omitempty"` // bytes a second
	Peers     int           `json:"peers,omitempty"`
	ETA       float64       `json:"eta,omitempty"` // seconds
	Seconds   float64       `json:"seconds,omitempty"`
	Sources   []Source      `json:"sources,omitempty"`
	Skipped   []Skipped     `json:"skipped,omitempty"`
	Routes    []RouteStatus `json:"routes,omitempty"`
	Present   int64         `json:"present,omitempty"`   // bytes that were on disk before and cost no transfer
	Duplicate int64         `json:"duplicate,omitempty"` // bytes that came for nothing: they were here, or had been called off
}

// RouteStatus is what came of one way to find peers of a root. Route is one of
//
//	ticket      the ticket names the peer
//	peer        the user named it
//	remembered  it delivered something before
//	inbound     it is connected
//	mdns        it is on this network
//	pex         another peer of the root named it
//	dht-lan     the DHT of this network lists it
//	dht         the DHT beyond lists it
type RouteStatus struct {
	Route       string `json:"route"`
	Found       int    `json:"found"`                 // peers, each counted for the route that was first
	Without     int    `json:"without,omitempty"`     // of them, those that said that they do not have it
	Unreachable int    `json:"unreachable,omitempty"` // those that could not be reached, or were left out
	Refused     int    `json:"refused,omitempty"`     // peers at addresses that cannot be meant
	Asking      bool   `json:"asking,omitempty"`      // a look-up is under way
	Error       string `json:"error,omitempty"`       // why nobody can be found this way just now, or why the last one was not reached
}

// Source is what one peer delivered, and what it took meanwhile.
type Source struct {
	Peer      string  `json:"peer"`
	Addr      string  `json:"addr,omitempty"`
	Relayed   bool    `json:"relayed"`             // a third node passes everything on
	Bytes     int64   `json:"bytes"`               // verified, each once
	Rate      float64 `json:"rate,omitempty"`      // bytes a second from it, over the last seconds
	Bad       int     `json:"bad,omitempty"`       // chunks whose bytes were wrong
	Duplicate int64   `json:"duplicate,omitempty"` // bytes that came for nothing
	Sent      int64   `json:"sent,omitempty"`      // bytes
	UpRate    float64 `json:"up_rate,omitempty"`   // bytes a second to it
}
