package virtual

import "time"

// packet is one datagram on its way.
type packet struct {
	at      time.Time // when it comes to the receiver's downlink, or is through it
	order   uint64    // of sending: packets of one time stay in order
	through bool      // the downlink
	from    *endpoint
	to      *endpoint
	data    []byte
}

func (p *packet) before(q *packet) bool {
	return p.at.Before(q.at) || p.at.Equal(q.at) && p.order < q.order
}

// queue is a heap of packets, the first one due in front.
type queue []*packet

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].before(q[j]) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(*packet)) }

func (q *queue) Pop() any {
	last := len(*q) - 1
	p := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return p
}
