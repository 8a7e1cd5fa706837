package discovery

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Traffic returns what mDNS has received and sent since the start, in bytes, without the headers of UDP and IP. Answers to a single
// asker, which are sent when somebody starts, are not counted.
func (m *MDNS) Traffic() (received, sent int64) {
	return m.tally.received.Load(), m.tally.sent.Load()
}

// Report is how mDNS has been doing.
type Report struct {
	Interfaces []string // on which it speaks
	Heard      int64    // packets of others about the service
	Asked      int64    // questions of others that all were to answer
	Echoes     int64    // packets of our own announcement that came back to the socket that listens
	Peers      int      // that were found in the last minute
}

// Ask asks everybody on the link, for a second, and reports whether this node itself answered, which takes the way that others'
// questions take, and how many others did.
func (m *MDNS) Ask(ctx context.Context) (self bool, others int, err error) {
	p, _ := m.here()
	if p == nil || len(p.ifaces) == 0 {
		return false, 0, nil
	}
	q, err := question(m.service, true)
	if err != nil {
		return false, 0, err
	}
	seen := make(map[string]bool)
	var mu sync.Mutex
	var group errgroup.Group
	for _, six := range []bool{false, true} {
		s, openErr := openAsker(six, p.ifaces)
		if openErr != nil {
			err = openErr
			continue
		}
		if _, sendErr := s.send(q); sendErr != nil {
			err = errors.Join(sendErr, s.close())
			continue
		}
		group.Go(func() error {
			wait(ctx, nil, time.Second)
			return s.close()
		})
		group.Go(func() error {
			buf := make([]byte, maxPacket)
			for {
				b, _, err := s.receive(buf)
				if err != nil {
					return nil // closed
				}
				for _, a := range parsePacket(b, m.service).answers {
					mu.Lock()
					if len(seen) < maxSeen {
						seen[a.instance] = true
					}
					mu.Unlock()
				}
			}
		})
	}
	_ = group.Wait() // that a socket cannot be closed does not matter
	self = seen[m.instance]
	delete(seen, m.instance)
	if self || len(seen) > 0 {
		err = nil // one family is enough
	}
	return self, len(seen), err
}

// Report looks at how mDNS has been doing since the start.
func (m *MDNS) Report() Report {
	r := Report{Heard: m.tally.heard.Load(), Asked: m.tally.asked.Load(), Echoes: m.tally.echoes.Load()}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.place != nil {
		for _, i := range m.place.ifaces {
			r.Interfaces = append(r.Interfaces, i.Name)
		}
	}
	now := time.Now()
	for _, s := range m.queue.seen {
		if now.Before(s.until) {
			r.Peers++
		}
	}
	return r
}
