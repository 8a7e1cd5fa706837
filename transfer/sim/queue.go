package sim

// kind says what an entry of the queue is about. Messages come last; see dispatch.go.
type kind uint8

const (
	tick    kind = iota // host a is due
	join                // host a takes part
	leave               // host a goes
	sent                // frame a has left its uplink
	arrived             // the last byte of frame a has come to the receiver's downlink
	read                // frame a is through the downlink
	acked               // at the sender: a bytes of this link have been read
	change              // number a of Scenario.Changes comes
	look                // somebody looks at the net
	closed              // at the owner of this link: the other side is gone
	message             // the first kind of message
)

// entry is something that happens at a time. It is small because millions of them are moved about.
type entry struct {
	at    int64  // nanoseconds
	order uint64 // of adding, and below it the kind: entries of one time come in the order in which they were added
	link  int32
	a, b  uint32
}

const kindBits = 8

func (e *entry) kind() kind { return kind(e.order & (1<<kindBits - 1)) }

func (e *entry) before(f *entry) bool { return e.at < f.at || e.at == f.at && e.order < f.order }

// queue is a heap whose nodes have four children each: half as deep as one with two, and all children in two cache lines.
type queue struct {
	heap []entry
	last uint64 // order
}

func (q *queue) add(at int64, k kind, link int32, a, b uint32) {
	q.last++
	e := entry{at, q.last<<kindBits | uint64(k), link, a, b}
	q.heap = append(q.heap, e)
	i := len(q.heap) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&q.heap[up]) {
			break
		}
		q.heap[i] = q.heap[up]
		i = up
	}
	q.heap[i] = e
}

// next takes out the first entry. There must be one.
func (q *queue) next() entry {
	first := q.heap[0]
	n := len(q.heap) - 1
	e := q.heap[n]
	q.heap = q.heap[:n]
	if n == 0 {
		return first
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= n {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, n); c++ {
			if q.heap[c].before(&q.heap[least]) {
				least = c
			}
		}
		if !q.heap[least].before(&e) {
			break
		}
		q.heap[i] = q.heap[least]
		i = least
	}
	q.heap[i] = e
	return first
}
