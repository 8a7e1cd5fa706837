package node

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer"
)

// TestStatusShowsATransferBothWays looks at both nodes when the last byte has just come in.
func TestStatusShowsATransferBothWays(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	path, data := a.file("big", 5<<20+17)
	s := a.share(path)
	look := func(n *running) Transfer {
		st, err := n.Status(t.Context())
		if err != nil || len(st.Transfers) != 1 || len(st.Transfers[0].Sources) != 1 {
			t.Fatalf("%v, %+v; expected one transfer with one peer", err, st.Transfers)
		}
		return st.Transfers[0]
	}
	var up, down Transfer
	_, err := b.Fetch(t.Context(), FetchRequest{Ref: s.Ticket, Dest: filepath.Join(b.dir, "copy")}, func(e Event) {
		if e.Kind == "syncing" {
			up, down = look(a), look(b)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(data))
	if down.CID != s.CID || down.Name != "copy" || down.Direction != "down" || down.Bytes != size || down.Total != size || down.Sent != 0 || down.Rate <= 0 {
		t.Errorf("who fetches shows %+v", down)
	}
	if from := down.Sources[0]; from.Peer != a.ID() || from.Bytes != size || from.Sent != 0 || from.Rate <= 0 || from.Addr == "" || from.Relayed {
		t.Errorf("its source is %+v", from)
	}
	if up.CID != s.CID || up.Name != "big" || up.Direction != "up" || up.Bytes != 0 || up.Sent != size || up.UpRate <= 0 || up.Total != 0 {
		t.Errorf("who serves shows %+v", up)
	}
	if to := up.Sources[0]; to.Peer != b.ID() || to.Sent != size || to.UpRate <= 0 || to.Bytes != 0 {
		t.Errorf("its peer is %+v", to)
	}
	if st, err := b.Status(t.Context()); err != nil || len(st.Transfers) != 0 {
		t.Errorf("%v, %+v; expected no transfer after the end", err, st.Transfers)
	}
}

func (r *running) ID() string {
	id, err := r.Identity(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return id.ID
}

func TestDoneNamesAllSourcesLargestFirst(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	c := start(t, "c", a, b)
	path, data := a.file("big", 40<<20)
	s := a.share(path)
	same, _ := b.file("big", 40<<20)
	b.share(same)
	done := c.fetch(FetchRequest{Ref: s.CID, Dest: filepath.Join(c.dir, "copy")})
	sum, last := int64(0), int64(1)<<62
	for _, x := range done.Sources {
		if x.Bytes > last || x.Rate != 0 || x.Addr == "" {
			t.Errorf("the sources are %+v", done.Sources)
		}
		sum, last = sum+x.Bytes, x.Bytes
	}
	if sum != int64(len(data)) || len(done.Sources) == 0 {
		t.Errorf("%d bytes came from %+v, expected %d", sum, done.Sources, len(data))
	}
}

func TestSourcesOfAStatus(t *testing.T) {
	s := transfer.Status{Stored: 30, Total: 100, Wasted: 7, Rate: 10, Joined: 2, Peers: []transfer.PeerStatus{
		{Peer: "never came", State: transfer.Unreachable},
		{Peer: "idle", State: transfer.Joined},
		{Peer: "left", State: transfer.Unreachable, Down: 10, Wasted: 7, Bad: 1},
		{Peer: "best", State: transfer.Joined, Down: 20, Up: 5, Rate: 10, UpRate: 2, Addr: "/p2p-circuit", Relayed: true},
		{Peer: "takes", State: transfer.Joined, Up: 6},
	}}
	p := &pursuit{total: 100, present: 20}
	e := p.progress(s)
	if e.Bytes != 50 || e.Duplicate != 7 || e.ETA != 5 || len(e.Sources) != 4 {
		t.Fatalf("the event is %+v", e)
	}
	id := func(i int) string { return s.Peers[i].Peer.String() }
	want := []Source{
		{Peer: id(3), Addr: "/p2p-circuit", Relayed: true, Bytes: 20, Rate: 10, Sent: 5, UpRate: 2},
		{Peer: id(2), Bytes: 10, Bad: 1, Duplicate: 7},
		{Peer: id(4), Sent: 6},
		{Peer: id(1)},
	}
	for i := range want {
		if e.Sources[i] != want[i] {
			t.Errorf("source %d is %+v, expected %+v", i, e.Sources[i], want[i])
		}
	}
	for range 100 {
		s.Peers = append(s.Peers, transfer.PeerStatus{Peer: "more", State: transfer.Joined})
	}
	if n := len(p.progress(s).Sources); n != maxSources {
		t.Errorf("%d sources in one event, expected %d", n, maxSources)
	}
}

func TestDirectionOfATransfer(t *testing.T) {
	for _, c := range []struct {
		status transfer.Status
		want   Transfer
	}{
		{transfer.Status{Stored: 5, Total: 9, Rate: 3, Joined: 2, Wasted: 1}, Transfer{Direction: "down", Bytes: 5, Total: 9, Rate: 3, Peers: 2, Duplicate: 1}},
		{transfer.Status{Stored: 5, Total: 9, Rate: 3, Given: 4, GivenRate: 2}, Transfer{Direction: "both", Bytes: 5, Total: 9, Rate: 3, Sent: 4, UpRate: 2}},
		{transfer.Status{Serves: true, Given: 4, GivenRate: 2}, Transfer{Direction: "up", Sent: 4, UpRate: 2}},
	} {
		c.want.CID = cid.Undef.String()
		if got := transferOf(c.status); !reflect.DeepEqual(got, c.want) {
			t.Errorf("got %+v, want %+v", got, c.want)
		}
	}
}

func TestNamesAreTakenBack(t *testing.T) {
	var x names
	root := content.Seal([]byte("x")).Digest().CID()
	one, two := x.lend(root, "one"), x.lend(root, "two")
	if got := x.of(root); got != "one" {
		t.Errorf("it is called %q", got)
	}
	one()
	if got := x.of(root); got != "two" {
		t.Errorf("it is called %q", got)
	}
	two()
	if got := x.of(root); got != "" || len(x.lent) != 0 {
		t.Errorf("it is still called %q", got)
	}
}
