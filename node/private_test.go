package node

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/discovery"
)

// journal is a log that a test reads.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// startAt runs a node until stop is called, or the test ends. It logs all there is to log.
func startAt(t testing.TB, c Config) (r *running, log *journal, stop func()) {
	t.Helper()
	log = new(journal)
	c.Log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if c.Network == "" {
		c.Network = Isolated
	}
	if c.Listen == nil {
		c.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	}
	n, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-done, n.Close()); err != nil {
			t.Errorf("end: %v", err)
		}
	})
	t.Cleanup(stop)
	return &running{n, t, t.TempDir()}, log, stop
}

func (r *running) shareWith(q ShareRequest) Shared {
	r.t.Helper()
	s, err := r.Share(r.t.Context(), q, ignore)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// cannot fetches what must not come: from those named, and from who is named in the ticket if it is one.
func (r *running) cannot(ref string, from ...*running) {
	r.t.Helper()
	q := FetchRequest{Ref: ref, Dest: filepath.Join(r.t.TempDir(), "x"), Timeout: 60}
	for _, p := range from {
		q.Peers = append(q.Peers, p.addr())
	}
	holders := len(from)
	if discovery.IsTicket(ref) {
		holders++
	}
	r.refused(holders, func(ctx context.Context, emit func(Event)) error {
		_, err := r.Fetch(ctx, q, emit)
		return err
	})
}

// refused runs a request until as many peers have said that they do not have it.
func (r *running) refused(holders int, f func(context.Context, func(Event)) error) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	said := make(map[string]bool)
	err := f(ctx, func(e Event) {
		if strings.Contains(e.Message, "does not have it") {
			said[e.Peer] = true
		}
		if len(said) >= holders {
			cancel()
		}
	})
	if err == nil || len(said) < holders {
		r.t.Errorf("%d peers of %d said that they do not have it, and the request ends with %v", len(said), holders, err)
	}
}

func ticketOf(t testing.TB, text string) discovery.Ticket {
	t.Helper()
	x, err := discovery.ParseTicket(text)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// faces are all ways in which a ticket's secret could be written.
func faces(t testing.TB, ticket string) []string {
	b := ticketOf(t, ticket).Secret.Reveal()
	return []string{
		ticket, strings.ToUpper(ticket), ticket[20 : len(ticket)-20], string(b), hex.EncodeToString(b),
		strings.ToLower(strings.TrimRight(base32.StdEncoding.EncodeToString(b), "=")),
	}
}

func jsonOf(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A private share goes to those with the ticket and to nobody else, from the sharer and from those who have fetched it, also
// after a restart and when the sharer has gone; and neither log, listing nor status of anybody shows the secret.
func TestPrivateShareFromEndToEnd(t *testing.T) {
	a, logA, stopA := startAt(t, Config{Home: filepath.Join(t.TempDir(), "a")})
	path, data := a.file("tree/big", 3<<20)
	_, small := a.file("tree/small", 100)
	s := a.shareWith(ShareRequest{Paths: []string{filepath.Dir(path)}, Private: true})
	if !s.Private || ticketOf(t, s.Ticket).Secret.IsZero() {
		t.Fatalf("shared as %+v", s.Terms)
	}
	inside := map[string]string{}
	list, err := a.List(t.Context(), ListRequest{Ref: s.CID}, ignore)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		inside[e.Path] = e.CID
	}
	outside := start(t, "outside")
	for who, n := range map[string]*running{"the sharer": a, "a holder of the ticket": outside} {
		if _, err := n.Find(t.Context(), FindRequest{Ref: s.Ticket}, ignore); !errors.Is(err, ErrUsage) {
			t.Errorf("%s may ask a DHT about it: %v, want ErrUsage", who, err)
		}
	}
	for _, ref := range []string{s.CID, inside["big"], inside["small"]} {
		outside.cannot(ref, a)
	}

	home := filepath.Join(t.TempDir(), "b")
	b, logB, stopB := startAt(t, Config{Home: home})
	to := filepath.Join(b.dir, "tree")
	b.fetch(FetchRequest{Ref: s.Ticket, Dest: to})
	same(t, filepath.Join(to, "big"), data)
	b.fetch(FetchRequest{Ref: s.Ticket + "/small", Dest: filepath.Join(b.dir, "small")})
	same(t, filepath.Join(b.dir, "small"), small)
	statusB, errB := b.Status(t.Context())
	stopA()
	stopB()
	b, logC, _ := startAt(t, Config{Home: home})
	for _, ref := range []string{s.CID, inside["big"], inside["small"]} {
		outside.cannot(ref, b)
	}
	second, err := b.Ticket(t.Context(), TicketRequest{Ref: s.CID})
	if err != nil || !second.Private || !ticketOf(t, second.Ticket).Secret.Equal(ticketOf(t, s.Ticket).Secret) {
		t.Fatalf("the ticket of who has fetched it: %+v, %v", second.Terms, err)
	}
	c := start(t, "c")
	c.fetch(FetchRequest{Ref: second.Ticket, Dest: filepath.Join(c.dir, "tree")})
	same(t, filepath.Join(c.dir, "tree/big"), data)
	third := start(t, "third") // with the ticket of a sharer who has gone, and told where else to ask
	third.fetch(FetchRequest{Ref: s.Ticket, Dest: filepath.Join(third.dir, "tree"), Peers: []string{c.addr()}})

	shares, err := b.Shares(t.Context())
	if err := errors.Join(err, errB); err != nil || len(shares) == 0 || !shares[0].Private {
		t.Fatalf("shares %+v, %v", shares, err)
	}
	all := logA.String() + logB.String() + logC.String() + jsonOf(t, shares) + jsonOf(t, statusB) + jsonOf(t, s.Terms)
	if !strings.Contains(all, "stream refused") {
		t.Error("nothing was logged of the refusals")
	}
	for i, face := range faces(t, s.Ticket) {
		if strings.Contains(all, face) {
			t.Errorf("the ticket shows in what was logged or listed, written in way %d", i)
		}
	}
}

// A share for certain peers goes to them, by CID as well, and who fetched it with the ticket gives it to nobody.
func TestLimitedShare(t *testing.T) {
	a, b, c := start(t, "a"), start(t, "b"), start(t, "c")
	path, data := a.file("f", 2<<20)
	s := a.shareWith(ShareRequest{Paths: []string{path}, Allow: []string{b.host.ID().String()}})
	if s.Private || !s.Limited || !slices.Equal(s.Allow, []string{b.host.ID().String()}) || !ticketOf(t, s.Ticket).Keep {
		t.Errorf("shared as %+v", s.Terms)
	}
	c.cannot(s.CID, a)
	c.cannot(s.Ticket)
	if err := b.Cat(t.Context(), CatRequest{Ref: s.CID, Peers: []string{a.addr()}}, io.Discard, ignore); err != nil {
		t.Errorf("by CID, one who is on the list: %v", err)
	}
	b.fetch(FetchRequest{Ref: s.Ticket, Dest: filepath.Join(b.dir, "f")})
	same(t, filepath.Join(b.dir, "f"), data)
	c.cannot(s.CID, b)
	c.cannot(s.Ticket, b)
	if _, err := b.Ticket(t.Context(), TicketRequest{Ref: s.CID}); !errors.Is(err, ErrUsage) {
		t.Errorf("a ticket to what is not to be passed on: %v", err)
	}
	// Both conditions together.
	s = a.shareWith(ShareRequest{Paths: []string{path}, Allow: []string{b.host.ID().String()}, Private: true})
	late := start(t, "late")
	late.cannot(s.Ticket)
	if err := b.Unshare(t.Context(), s.CID); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(b.dir, "f"))
	b.cannot(s.CID, a)
	b.fetch(FetchRequest{Ref: s.Ticket, Dest: filepath.Join(b.dir, "again")})
}

// An expired ticket is refused by its reader, with a sentence; and what is private is refused by the sharer too, by its own clock.
func TestExpiredTickets(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	path, _ := a.file("f", 1000)
	for _, private := range []bool{false, true} {
		s := a.shareWith(ShareRequest{Paths: []string{path}, Private: private, Expires: 3600})
		x := ticketOf(t, s.Ticket)
		if left := time.Until(x.Until); left < 3500*time.Second || left > 3600*time.Second || !s.Expires.Equal(x.Until) {
			t.Errorf("private %v: the ticket ends in %v", private, left)
		}
		x.Until = time.Now().Add(-time.Minute)
		for name, try := range map[string]func() error{
			"get": func() error {
				_, err := b.Fetch(t.Context(), FetchRequest{Ref: x.Text(), Dest: filepath.Join(b.dir, "f")}, ignore)
				return err
			},
			"cat": func() error { return b.Cat(t.Context(), CatRequest{Ref: x.Text()}, io.Discard, ignore) },
			"ls": func() error {
				_, err := b.List(t.Context(), ListRequest{Ref: x.Text()}, ignore)
				return err
			},
		} {
			if err := try(); !errors.Is(err, ErrExpired) || !strings.Contains(err.Error(), "was good until") {
				t.Errorf("%s, private %v: %v, want ErrExpired and when", name, private, err)
			}
		}
		if seen, err := b.Inspect(t.Context(), InspectRequest{Ref: x.Text()}, ignore); err != nil || !seen.Ticket.Expired || len(seen.Holders) > 0 {
			t.Errorf("inspect, private %v: %+v, %v", private, seen, err)
		}
	}
	s := a.shareWith(ShareRequest{Paths: []string{path}, Private: true, Expires: 3600})
	root, _ := content.ParseCID(s.CID)
	access := a.store.Access(root)
	access.Until = time.Now().Add(-time.Second)
	if err := a.store.SetAccess(root, access); err != nil {
		t.Fatal(err)
	}
	b.cannot(s.Ticket) // for this ticket, the reader's clock sees no end
	if _, err := a.Ticket(t.Context(), TicketRequest{Ref: s.CID}); !errors.Is(err, ErrExpired) {
		t.Errorf("another ticket after the end: %v, want ErrExpired", err)
	}
	renewed, err := a.Ticket(t.Context(), TicketRequest{Ref: s.CID, Renew: true, Expires: 60})
	if err != nil {
		t.Fatal(err)
	}
	b.fetch(FetchRequest{Ref: renewed.Ticket, Dest: filepath.Join(b.dir, "f")})
}

// A ticket is worth nothing after it was renewed, or the share removed; sharing again does not end it, and does not open the share.
func TestTicketsAreRevocable(t *testing.T) {
	a := start(t, "a")
	path, data := a.file("f", 1<<20+1)
	private := ShareRequest{Paths: []string{path}, Private: true}
	first := a.shareWith(private)
	if again := a.shareWith(private); again.Ticket != first.Ticket {
		t.Error("sharing again made another ticket")
	}
	if again := a.shareWith(ShareRequest{Paths: []string{path}}); !again.Private || again.Ticket != first.Ticket {
		t.Error("sharing again without --private opened the share")
	}
	renewed, err := a.Ticket(t.Context(), TicketRequest{Ref: first.Ticket, Renew: true})
	if err != nil || renewed.Ticket == first.Ticket {
		t.Fatalf("renew: %v", err)
	}
	b := start(t, "b")
	b.cannot(first.Ticket)
	b.fetch(FetchRequest{Ref: renewed.Ticket, Dest: filepath.Join(b.dir, "f")})
	same(t, filepath.Join(b.dir, "f"), data)
	if err := a.Unshare(t.Context(), first.CID); err != nil {
		t.Fatal(err)
	}
	c := start(t, "c")
	c.cannot(renewed.Ticket)
	if _, err := a.Ticket(t.Context(), TicketRequest{Ref: first.CID}); !errors.Is(err, ErrNotFound) {
		t.Errorf("a ticket to what is not shared: %v", err)
	}
	open := a.shareWith(ShareRequest{Paths: []string{path}})
	if open.Private {
		t.Error("what was unshared is still private when it is shared again")
	}
	c.fetch(FetchRequest{Ref: open.CID, Dest: filepath.Join(c.dir, "f"), Peers: []string{a.addr()}})
	for _, q := range []TicketRequest{
		{Ref: open.CID, Renew: true},
		{Ref: open.CID, Expires: -1},
		{Ref: open.CID, Expires: 0.5},
		{Ref: open.CID, Expires: longestTerm + 1},
		{Ref: open.CID + "/x"},
		{Ref: "x"},
	} {
		if _, err := a.Ticket(t.Context(), q); !errors.Is(err, ErrUsage) {
			t.Errorf("%+v: %v, want ErrUsage", q, err)
		}
	}
}

// Inspect tells what there is and who has it; not a byte of content moves for it.
func TestInspectFetchesNothing(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	path, _ := a.file("tree/big", 3<<20)
	a.file("tree/sub/small", 100)
	lone, _ := a.file("lone", 1000)
	tree := a.shareWith(ShareRequest{Paths: []string{filepath.Dir(path)}, Private: true})
	one := a.share(lone)
	seen, err := b.Inspect(t.Context(), InspectRequest{Ref: tree.Ticket}, ignore)
	if err != nil {
		t.Fatal(err)
	}
	if seen.Kind != "dir" || seen.Files != 2 || seen.Bytes != 3<<20+100 || seen.Name != "tree" || seen.Here || seen.Claimed || len(seen.Entries) != 2 || seen.Entries[0].Path != "big" {
		t.Errorf("a directory: %+v", seen)
	}
	if f := seen.Ticket; f == nil || !f.Private || f.Own || f.Peer != a.host.ID().String() || len(f.Addrs) != 1 {
		t.Errorf("its ticket: %+v", seen.Ticket)
	}
	if len(seen.Holders) != 1 || seen.Holders[0].Peer != a.host.ID().String() {
		t.Errorf("its holders: %+v", seen.Holders)
	}
	for ref, bytes := range map[string]int64{one.Ticket: 1000, one.CID: -1} {
		seen, err := b.Inspect(t.Context(), InspectRequest{Ref: ref, Peers: []string{a.addr()}}, ignore)
		if err != nil || seen.Kind != "file" || seen.Bytes != bytes || seen.Claimed != (bytes > 0) || len(seen.Holders) != 1 {
			t.Errorf("a file of one chunk: %+v, %v", seen, err)
		}
	}
	for name, n := range map[string]*running{"the one who has it": a, "the one who asks": b} {
		if down, up := n.transfer.Totals(); down != 0 || up != 0 {
			t.Errorf("%s: %d bytes received, %d sent", name, down, up)
		}
	}
	root, _ := content.ParseCID(one.CID)
	if n, err := b.store.Node(root); err == nil {
		t.Errorf("the only chunk of a file came as its tree: %d bytes", len(n))
	}
	c := start(t, "c")
	c.refused(1, func(ctx context.Context, emit func(Event)) error {
		_, err := c.Inspect(ctx, InspectRequest{Ref: tree.CID, Peers: []string{a.addr()}, Timeout: 60}, emit)
		return err
	})
	// B79: one's own ticket is understood, and nobody else is asked for it.
	seen, err = a.Inspect(t.Context(), InspectRequest{Ref: tree.Ticket}, ignore)
	if err != nil || !seen.Here || !seen.Ticket.Own || seen.Files != 2 {
		t.Errorf("one's own ticket: %+v, %v", seen, err)
	}
	if err := a.Unshare(t.Context(), tree.CID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Fetch(t.Context(), FetchRequest{Ref: tree.Ticket, Dest: filepath.Join(a.dir, "x")}, ignore); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "this node's own") {
		t.Errorf("B79: one's own ticket to what is gone: %v", err)
	}
}

// B77, B78: a ticket's addresses count for the peer that proves to be it, and lead to no service of this machine.
func TestTicketsThatLeadAstray(t *testing.T) {
	a, other, b := start(t, "a"), start(t, "other"), start(t, "b")
	path, _ := a.file("f", 1000)
	s := a.share(path)
	wrong := ticketOf(t, s.Ticket)
	wrong.Addrs = ticketOf(t, other.share(path).Ticket).Addrs
	_, err := b.Fetch(t.Context(), FetchRequest{Ref: wrong.Text(), Dest: filepath.Join(b.dir, "f"), Timeout: 3}, ignore)
	if !errors.Is(err, ErrNoPeer) {
		t.Errorf("a ticket with the address of another peer: %v, want ErrNoPeer", err)
	}
	if len(b.host.Network().ConnsToPeer(a.host.ID())) > 0 {
		t.Error("the other peer passes for the one in the ticket")
	}
	both := ticketOf(t, s.Ticket)
	both.Addrs = append(both.Addrs, wrong.Addrs...)
	b.fetch(FetchRequest{Ref: both.Text(), Dest: filepath.Join(b.dir, "f")})
	for _, bad := range []string{"/ip4/127.0.0.1/tcp/22", "/ip4/169.254.169.254/tcp/80", "/ip6/::1/tcp/22"} {
		info := peer.AddrInfo{ID: other.host.ID(), Addrs: []multiaddr.Multiaddr{multiaddr.StringCast(bad)}}
		b.host.allowTicket(info)
		if b.host.gater.InterceptAddrDial(info.ID, info.Addrs[0]) {
			t.Errorf("a ticket makes the node dial %s", bad)
		}
		b.host.allowNamed(info)
		if !b.host.gater.InterceptAddrDial(info.ID, info.Addrs[0]) {
			t.Errorf("the user cannot name %s", bad)
		}
	}
}

// wiretap passes TCP connections on and keeps what they carried.
type wiretap struct {
	mu   sync.Mutex
	seen bytes.Buffer
	addr multiaddr.Multiaddr
}

func newWiretap(t *testing.T, to string) *wiretap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	x := &wiretap{addr: multiaddr.StringCast("/ip4/127.0.0.1/tcp/" + port)}
	var wait sync.WaitGroup
	var conns []net.Conn // guarded by mu
	pass := func(to, from net.Conn) {
		defer to.Close()
		buf := make([]byte, 1<<16)
		for {
			n, err := from.Read(buf)
			x.mu.Lock()
			x.seen.Write(buf[:n])
			x.mu.Unlock()
			if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
				return
			}
		}
	}
	wait.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			x.mu.Lock()
			conns = append(conns, near, far)
			x.mu.Unlock()
			wait.Go(func() { pass(near, far) })
			wait.Go(func() { pass(far, near) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		x.mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		x.mu.Unlock()
		wait.Wait()
	})
	return x
}

// T23: whoever carries the bytes between two nodes sees nothing of the ticket, its secret, the proof or the CID.
func TestRelayLearnsNothing(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	path, data := a.file("f", 3<<20)
	s := a.shareWith(ShareRequest{Paths: []string{path}, Private: true})
	x := ticketOf(t, s.Ticket)
	_, port, _ := strings.Cut(x.Addrs[0].String(), "/tcp/")
	relay := newWiretap(t, "127.0.0.1:"+port)
	x.Addrs = []multiaddr.Multiaddr{relay.addr}
	b.fetch(FetchRequest{Ref: x.Text(), Dest: filepath.Join(b.dir, "f")})
	relay.mu.Lock()
	defer relay.mu.Unlock()
	seen := relay.seen.Bytes()
	if len(seen) < len(data) {
		t.Fatalf("the relay saw %d bytes, and the file alone has %d", len(seen), len(data))
	}
	proof := x.Secret.Proof(x.Root, string(b.host.ID()), string(a.host.ID()))
	alias := x.Secret.Alias(x.Root)
	secrets := append(faces(t, s.Ticket), faces(t, x.Text())...)
	secrets = append(secrets, string(proof[:]), string(alias.Hash()), alias.String(), string(x.Root.Hash()), s.CID, string(data[:64]))
	for i, secret := range secrets {
		if bytes.Contains(seen, []byte(secret)) {
			t.Errorf("the relay sees secret %d of %d", i, len(secrets))
		}
	}
}
