package node

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/discovery"
)

func named(name string) func(*Node) { return func(n *Node) { n.config.Name = name } }

func (r *running) nearby() []Neighbour {
	r.t.Helper()
	list, err := r.Nearby(r.t.Context(), ignore)
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

func (r *running) neighbour(other *running) Neighbour {
	r.t.Helper()
	list := r.nearby()
	i := slices.IndexFunc(list, func(x Neighbour) bool { return x.ID == other.host.ID().String() })
	if i < 0 {
		r.t.Fatalf("%s is not among the neighbours %+v", other.host.ID(), list)
	}
	return list[i]
}

// What is listed is seen with its name, and can be fetched; what is not listed is not seen, and neither is what no longer is.
func TestNeighboursSeeWhatIsListed(t *testing.T) {
	a := startWith(t, "a", named("Anna's laptop"))
	b := startWith(t, "b", named("ben"), a)
	path, data := a.file("holiday", 3<<20)
	hidden, _ := a.file("diary", 10)
	a.share(hidden)
	on := true
	shared, err := a.Share(t.Context(), ShareRequest{Paths: []string{path}, Listed: &on}, ignore)
	if err != nil || !shared.Listed {
		t.Fatalf("share: %+v, %v", shared, err)
	}
	got := b.neighbour(a)
	if got.Name != "Anna's laptop" || got.Error != "" || got.Addr == "" || got.Route != "peer" {
		t.Errorf("got %+v", got)
	}
	want := []Listed{{CID: shared.CID, Name: "holiday", Bytes: int64(len(data)), Files: 1}}
	if !slices.Equal(got.Listed, want) {
		t.Fatalf("lists %+v, want %+v", got.Listed, want)
	}
	to := b.dir + "/copy"
	b.fetch(FetchRequest{Ref: got.Listed[0].CID, Dest: to})
	same(t, to, data)
	if got := a.neighbour(b); got.Name != "ben" || len(got.Listed) > 0 {
		t.Errorf("what was fetched is listed by itself: %+v", got)
	}
	again, err := a.Share(t.Context(), ShareRequest{Paths: []string{path}}, ignore)
	if err != nil || !again.Listed {
		t.Errorf("sharing again without a word about the list changed it: %+v, %v", again, err)
	}
	if err := a.Unlist(t.Context(), shared.CID); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the list to be empty", func() bool { return len(b.neighbour(a).Listed) == 0 })
	if shares, err := a.Shares(t.Context()); err != nil || len(shares) != 2 {
		t.Errorf("unlisting ended a share: %v, %v", shares, err)
	}
}

// A name goes to those who are on the local network or were named, over a connection, and to nobody else.
func TestStrangersHearNoName(t *testing.T) {
	a := startWith(t, "a", named("secret name"))
	b := newOutsider(t)
	b.connect(a)
	for _, c := range []struct {
		what string
		from string
		name bool // the user named that host
		told bool
	}{
		{"from this machine", "/ip4/127.0.0.1/tcp/1", false, true},
		{"from the local network", "/ip4/192.168.1.7/tcp/1", false, true},
		{"from the internet", "/ip4/203.0.113.7/tcp/1", false, false},
		{"from a host on the internet that was named", "/ip4/203.0.113.8/tcp/1", true, true},
		{"over a relay", "/ip4/192.168.1.7/tcp/1/p2p/" + b.host.ID().String() + "/p2p-circuit", false, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			if c.name {
				a.host.allowNamed(peer.AddrInfo{ID: b.host.ID(), Addrs: []multiaddr.Multiaddr{multiaddr.StringCast(c.from)}})
			}
			s := &pretended{conn: inbound(b.host.ID(), c.from)}
			a.tellAbout(s)
			if told := strings.Contains(string(s.wrote), "secret name"); told != c.told {
				t.Errorf("told %v, want %v", told, c.told)
			}
			if !c.told && !s.reset {
				t.Error("a refused stream stays open")
			}
		})
	}
}

// pretended is a stream that claims to come from anywhere.
type pretended struct {
	network.Stream
	conn  call
	wrote []byte
	reset bool
}

func (p *pretended) Conn() network.Conn                           { return p.conn }
func (p *pretended) Scope() network.StreamScope                   { return &network.NullScope{} }
func (p *pretended) SetDeadline(time.Time) error                  { return nil }
func (p *pretended) Write(b []byte) (int, error)                  { p.wrote = append(p.wrote, b...); return len(b), nil }
func (p *pretended) Close() error                                 { return nil }
func (p *pretended) ResetWithError(network.StreamErrorCode) error { p.reset = true; return nil }

// Who asks again and again is answered no more than so often, and the list is not put together each time.
func TestTheCardIsKeptForAMoment(t *testing.T) {
	a := start(t, "a")
	first := a.about()
	path, _ := a.file("x", 1)
	on := true
	if _, err := a.Share(t.Context(), ShareRequest{Paths: []string{path}, Listed: &on}, ignore); err != nil {
		t.Fatal(err)
	}
	a.card.mu.Lock()
	a.card.until = time.Now().Add(time.Hour)
	a.card.mu.Unlock()
	if &a.about()[0] != &first[0] {
		t.Error("the card was written anew although it was fresh")
	}
	a.card.mu.Lock()
	a.card.until = time.Time{}
	a.card.mu.Unlock()
	if len(a.about()) <= len(first) {
		t.Error("the card stays as it was")
	}
}

// A neighbour may say anything, or nothing.
func TestHostileNeighbours(t *testing.T) {
	a := start(t, "a")
	for what, answer := range map[string][]byte{
		"nothing": nil, "noise": []byte(strings.Repeat("\xff", 100)), "a length and nothing": {100}, "too much": {0xff, 0xff, 0xff, 0x7f},
		"a name that a terminal obeys": append([]byte{9, 1, 4}, "\x1b[2J\x00\x00\x00"...),
	} {
		t.Run(what, func(t *testing.T) {
			b := newOutsider(t)
			b.host.SetStreamHandler(discovery.AboutProtocol, func(s network.Stream) {
				_, _ = s.Write(answer)
				_ = s.Close()
			})
			b.connect(a)
			list := a.nearby()
			i := slices.IndexFunc(list, func(x Neighbour) bool { return x.ID == b.host.ID().String() })
			if i < 0 || list[i].Error == "" || list[i].Name != "" {
				t.Errorf("got %+v, want a neighbour that does not say who it is", list)
			}
		})
	}
}

func TestAStalledNeighbourHoldsUpNobodyForLong(t *testing.T) {
	a := start(t, "a")
	b := newOutsider(t)
	b.host.SetStreamHandler(discovery.AboutProtocol, func(network.Stream) {})
	b.connect(a)
	start := time.Now()
	list := a.nearby()
	if len(list) != 1 || list[0].Error == "" {
		t.Errorf("got %+v", list)
	}
	if took := time.Since(start); took > 5*aboutTimeout {
		t.Errorf("took %v", took)
	}
}

// What only some may have is not listed, whether it was so from the beginning or was listed before.
func TestNeighboursDoNotSeeWhatIsForSome(t *testing.T) {
	a := startWith(t, "a", named("anna"))
	b := startWith(t, "b", named("ben"), a)
	path, _ := a.file("diary", 10)
	on := true
	for name, r := range map[string]ShareRequest{
		"private": {Paths: []string{path}, Listed: &on, Private: true},
		"limited": {Paths: []string{path}, Listed: &on, Allow: []string{b.host.ID().String()}},
	} {
		if _, err := a.Share(t.Context(), r, ignore); !errors.Is(err, ErrUsage) {
			t.Errorf("%s and listed: %v, want ErrUsage", name, err)
		}
	}
	if _, err := a.Share(t.Context(), ShareRequest{Paths: []string{path}, Listed: &on}, ignore); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the share to be listed", func() bool { return len(b.neighbour(a).Listed) == 1 })
	if s, err := a.Share(t.Context(), ShareRequest{Paths: []string{path}, Private: true}, ignore); err != nil || s.Listed {
		t.Fatalf("made private: listed %v, %v; want it not to be said to be listed any more", s.Listed, err)
	}
	if all, err := a.Shares(t.Context()); err != nil || len(all) != 1 || all[0].Listed {
		t.Errorf("the shares are %+v, %v; want one that is not listed", all, err)
	}
	waitFor(t, "the share to be private", func() bool { return len(b.neighbour(a).Listed) == 0 })
}
