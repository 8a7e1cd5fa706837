package testnet

// Event is one thing that happened in a run, or one look at a node. A run's events are the lines of its events.jsonl, in the
// order of T. Fields that a kind does not name are absent.
//
// Kind is one of
//
//	begin     the first line: Scenario, Ground, Bound of the whole run if it has one
//	node      a node is there: Node, Peer, Group, Role, and its Link's rates in Up and Down (bytes a second; 0: no limit)
//	up, down  Node runs (again), or does not; Reason: stopped, killed, crashed
//	link      Node's link was changed: Up, Down
//	cut       a partition: Sides; Sides without value: it is healed
//	share     Node has Content of Bytes under CID
//	fetch     Node begins to fetch Content (CID)
//	sample    a look at Node: Bytes of Total it has of Content (CID), Received and Sent since it runs, Memory, CPU seconds, Peers
//	          connected, Duplicate bytes
//	fed       From has given Node Bytes of Content in all so far
//	lookup    Node looked for Content in a DHT: Found providers, Asked peers, Hops in the longest chain of these, Seconds
//	done      Node has all of Content: Seconds since its fetch began, Bytes, Duplicate bytes; Bound (seconds) for its group
//	failed    Node's fetch of Content ended without it: Reason
//	verified  Node's copy of Content was compared with the original: OK
//	expect    an expectation was judged: Name, OK, Want, Got
//	note      a remark: Reason
//	end       the last line: OK, Seconds
type Event struct {
	T    float64 `json:"t"` // seconds since the run began; virtual ones on a simulated ground
	Kind string  `json:"event"`

	Scenario string     `json:"scenario,omitempty"`
	Ground   string     `json:"ground,omitempty"`
	Name     string     `json:"name,omitempty"`
	Node     string     `json:"node,omitempty"`
	Group    string     `json:"group,omitempty"`
	Role     string     `json:"role,omitempty"`
	Peer     string     `json:"peer,omitempty"` // ID
	From     string     `json:"from,omitempty"` // node
	Sides    [][]string `json:"sides,omitempty"`
	Content  string     `json:"content,omitempty"`
	CID      string     `json:"cid,omitempty"`
	Reason   string     `json:"reason,omitempty"`

	Bytes     int64   `json:"bytes,omitempty"`
	Total     int64   `json:"total,omitempty"`
	Received  int64   `json:"received,omitempty"`
	Sent      int64   `json:"sent,omitempty"`
	Duplicate int64   `json:"duplicate,omitempty"`
	Memory    int64   `json:"memory,omitempty"`
	CPU       float64 `json:"cpu,omitempty"` // seconds since the node runs
	Up        float64 `json:"up,omitempty"`
	Down      float64 `json:"down,omitempty"`
	Peers     int     `json:"peers,omitempty"`
	Found     int     `json:"found,omitempty"`
	Asked     int     `json:"asked,omitempty"`
	Hops      int     `json:"hops,omitempty"`
	Seconds   float64 `json:"seconds,omitempty"`
	Bound     float64 `json:"bound,omitempty"` // seconds
	OK        bool    `json:"ok,omitempty"`
	Want      string  `json:"want,omitempty"`
	Got       string  `json:"got,omitempty"`
}
