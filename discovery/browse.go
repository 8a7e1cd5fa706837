package discovery

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// traffic counts what went over mDNS. Sizes are those of packets without the headers of UDP and IP.
type traffic struct {
	received, sent atomic.Int64 // bytes
	heard          atomic.Int64 // packets of others about the service
	asked          atomic.Int64 // questions of others
	echoes         atomic.Int64 // of our own announcement
}

// browse looks for peers in one family of addresses, each apart from the other, because a machine may lack one.
func (m *MDNS) browse(ctx context.Context, six bool) {
	trouble := &m.trouble.ip4
	if six {
		trouble = &m.trouble.ip6
	}
	for pause := pauseMin; ctx.Err() == nil; {
		p, moved := m.here()
		if len(p.ifaces) == 0 {
			wait(ctx, moved, 0)
			continue
		}
		began := time.Now()
		err := m.round(ctx, six, p, moved)
		if err == nil || time.Since(began) > pauseMax {
			pause = pauseMin
		}
		if m.trying("listen to the local network", trouble, err); err != nil {
			wait(ctx, moved, pause)
			pause = min(2*pause, pauseMax)
		}
	}
}

// round asks and listens until the interfaces change, which is no error.
func (m *MDNS) round(ctx context.Context, six bool, p *place, moved <-chan struct{}) error {
	shared, err := listenGroup(six, p.ifaces)
	if err != nil {
		return err
	}
	own, err := openAsker(six, p.ifaces)
	if err != nil {
		_ = shared.close()
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	ctx, end := context.WithCancel(ctx)
	defer end()
	r := &round{m: m, place: p, shared: shared, own: own, asked: m.asked[family(six)], spoke: make(chan struct{}, 1)}
	group.Go(func() error { return r.listen(shared) })
	group.Go(func() error { return r.listen(own) })
	group.Go(func() error { return r.ask(ctx) })
	group.Go(func() error {
		wait(ctx, moved, 0)
		end()
		r.ending.Store(true)
		return errors.Join(shared.close(), own.close()) // which ends the listening
	})
	return group.Wait()
}

// round is the asking and listening in one family of addresses at one place.
type round struct {
	m           *MDNS
	place       *place
	shared, own *socket
	asked       <-chan struct{} // see MDNS
	spoke       chan struct{}   // holds a token when somebody was heard
	ending      atomic.Bool     // the sockets are being closed
}

// maxPacket is the longest mDNS packet (RFC 6762, section 17); what is longer is cut off, and then not understood.
const maxPacket = 9000

// listen takes in what comes until the socket is closed.
func (r *round) listen(s *socket) error {
	buf := make([]byte, maxPacket)
	var gate turnstile
	for {
		b, from, err := s.receive(buf)
		if err != nil && r.ending.Load() {
			return nil
		}
		if err != nil {
			return err
		}
		if gate.admit(time.Now(), from) {
			r.hear(b, from)
		} else {
			r.m.tally.received.Add(int64(len(b)))
		}
	}
}

// hear takes in one packet.
func (r *round) hear(b []byte, from netip.Addr) {
	p := parsePacket(b, r.m.service)
	here := r.place.own[from]
	for _, a := range p.answers {
		if here && a.instance == r.m.instance {
			r.m.tally.echoes.Add(1)
			r.m.tally.sent.Add(int64(len(b)))
			return
		}
	}
	if here && p.asks { // our own question, or that of a neighbour on this machine: either way all have been asked
		r.m.allAsked()
		return
	}
	r.m.tally.received.Add(int64(len(b)))
	if p.asks {
		r.m.tally.asked.Add(1)
		r.m.allAsked()
	}
	if len(p.answers) > 0 {
		r.m.tally.heard.Add(1)
		token(r.spoke)
	}
	for _, a := range p.answers {
		r.m.hear(r.place, a.texts)
	}
}

// allAsked notes that somebody asked everybody. Whoever answers with zeroconf does so in both families, whichever it was asked in.
func (m *MDNS) allAsked() {
	for _, c := range m.asked {
		token(c)
	}
}

// family is the place of IPv4 or IPv6 in a pair.
func family(six bool) int {
	if six {
		return 1
	}
	return 0
}

func token(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// ask asks who is there, now and then.
func (r *round) ask(ctx context.Context) error {
	alone, err := question(r.m.service, true)
	if err != nil {
		return err
	}
	all, err := question(r.m.service, false)
	if err != nil {
		return err
	}
	a := newAsker(time.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-r.asked:
			a.overheard(time.Now())
		case <-r.spoke:
			a.heard = true
			continue
		case <-ctx.Done():
			return nil
		}
		switch a.ask(time.Now()) {
		case askAlone:
			err = r.send(r.own, alone)
		case askAll:
			err = r.send(r.shared, all)
		}
		if err != nil {
			return err
		}
		timer.Reset(time.Until(a.due()))
	}
}

func (r *round) send(s *socket, b []byte) error {
	sent, err := s.send(b)
	r.m.tally.sent.Add(int64(sent))
	return err
}
