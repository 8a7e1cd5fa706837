package discovery

import (
	"net/netip"
	"testing"
	"time"
)

func TestWhenANodeAsks(t *testing.T) {
	start := time.Unix(1e9, 0)
	at := func(d time.Duration) time.Time { return start.Add(d) }
	a := newAsker(start)
	a.chance = func(d time.Duration) time.Duration { return d / 2 }
	for step, c := range []struct {
		at   time.Duration
		then func()
		kind questionKind
		due  time.Duration
	}{
		{0, nil, askAlone, time.Second},
		{time.Second / 2, nil, askNobody, time.Second},
		{time.Second, nil, askAll, 4 * time.Second}, // nobody was heard
		{4 * time.Second, nil, askAlone, time.Second + refresh + refresh/4},
		{2 * time.Minute, func() { a.overheard(at(2 * time.Minute)) }, askNobody, 2*time.Minute + refresh + refresh/4},
		{2*time.Minute + refresh + refresh/4, nil, askAll, 2*time.Minute + 2*(refresh+refresh/4)},
	} {
		if c.then != nil {
			c.then()
		}
		if kind := a.ask(at(c.at)); kind != c.kind || !a.due().Equal(at(c.due)) {
			t.Errorf("step %d: asks %d and next after %v, want %d and %v", step, kind, a.due().Sub(start), c.kind, c.due)
		}
	}
	if a := newAsker(start); true {
		a.heard = true
		for _, d := range []time.Duration{0, time.Second, 4 * time.Second} {
			if kind := a.ask(at(d)); kind == askAll {
				t.Errorf("asks all after %v although somebody was heard", d)
			}
		}
	}
}

// Fifty nodes together ask about as often as one.
func TestManyNodesAskAsOne(t *testing.T) {
	start := time.Unix(1e9, 0)
	var nodes []*asker
	for range 50 {
		a := newAsker(start)
		a.heard = true
		nodes = append(nodes, a)
	}
	asked := 0
	const hour = time.Hour
	for now := start; now.Before(start.Add(hour)); now = now.Add(100 * time.Millisecond) {
		for _, a := range nodes {
			if a.ask(now) == askAll {
				asked++
				for _, b := range nodes {
					b.overheard(now)
				}
			}
		}
	}
	if most := int(hour/refresh) + 1; asked > most || asked < most/2 {
		t.Errorf("asked %d times in an hour, want about %d", asked, most)
	}
}

func TestTurnstile(t *testing.T) {
	var g turnstile
	now := time.Unix(1e9, 0)
	loud, quiet := netip.MustParseAddr("10.0.0.66"), netip.MustParseAddr("10.0.0.1")
	in := 0
	for range maxPacketsFrom + 1 {
		if g.admit(now, loud) {
			in++
		}
	}
	if in != maxPacketsFrom || !g.admit(now, quiet) {
		t.Errorf("let in %d packets of one address, want %d, and those of others", in, maxPacketsFrom)
	}
	if !g.admit(now.Add(time.Second), loud) {
		t.Error("one second of noise shuts an address out for longer")
	}
	g = turnstile{}
	in = 0
	for i := range 2 * maxPackets {
		if g.admit(now, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})) {
			in++
		}
	}
	if in != maxPackets || len(g.from) > maxPackets {
		t.Errorf("let in %d packets of all addresses and counted %d, want %d", in, len(g.from), maxPackets)
	}
}

// Who is asked in one family of addresses answers in both, so that asking in the other one as well would double the noise.
func TestAQuestionServesBothFamilies(t *testing.T) {
	neighbour, self := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1")
	all, err := question(DefaultService, false)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := question(DefaultService, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what     string
		packet   []byte
		from     netip.Addr
		answered int // families in which nobody needs to ask for a while
	}{
		{"a neighbour's question to all", all, neighbour, 2},
		{"our own question to all", all, self, 2},
		{"a neighbour's question for itself", alone, neighbour, 0},
	} {
		m := &MDNS{service: DefaultService, asked: [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)}}
		r := &round{m: m, place: &place{own: map[netip.Addr]bool{self: true}}, asked: m.asked[0], spoke: make(chan struct{}, 1)}
		r.hear(c.packet, c.from)
		if got := len(m.asked[0]) + len(m.asked[1]); got != c.answered {
			t.Errorf("%s keeps %d families from asking, want %d", c.what, got, c.answered)
		}
	}
}
