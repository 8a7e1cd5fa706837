package discovery

import "time"

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
