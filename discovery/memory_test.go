package discovery

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	mh "github.com/multiformats/go-multihash"
)

// shelf is a Shelf in memory.
type shelf map[string][]byte

func (s shelf) Rows() (map[string][]byte, error) { return s, nil }

func (s shelf) Put(key string, row []byte) error {
	if row == nil {
		delete(s, key)
	} else {
		s[key] = row
	}
	return nil
}

func rootOf(t testing.TB, text string) cid.Cid {
	t.Helper()
	sum, err := mh.Sum([]byte(text), mh.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.Raw, sum)
}

// realID is a peer ID of the usual kind, for a number.
func realID(t testing.TB, n int) peer.ID {
	t.Helper()
	sum, err := mh.Sum([]byte(fmt.Sprint(n)), mh.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return peer.ID(sum)
}

func delivery(t testing.TB, n int, root cid.Cid, bytes int64) Delivery {
	return Delivery{realID(t, n), addrs(fmt.Sprintf("/ip4/10.0.%d.%d/tcp/4747", n/250, n%250+1)), root, bytes}
}

func TestMemorySurvivesARestart(t *testing.T) {
	on, now := make(shelf), time.Now()
	m, err := OpenMemory(on)
	if err != nil {
		t.Fatal(err)
	}
	this, other := root(t), rootOf(t, "other")
	for _, d := range []Delivery{delivery(t, 1, this, 10), delivery(t, 2, other, 500), delivery(t, 1, this, 20), delivery(t, 1, other, 100)} {
		if err := m.delivered(d, now); err != nil {
			t.Fatal(err)
		}
	}
	for _, nothing := range []Delivery{delivery(t, 3, this, 0), {Peer: realID(t, 3), Root: this, Bytes: 5}} {
		if err := m.delivered(nothing, now); err != nil {
			t.Fatal(err)
		}
	}
	on["not a peer"], on[string(realID(t, 9))] = []byte{1, 2, 3}, []byte("nonsense")
	again, err := OpenMemory(on)
	if err != nil {
		t.Fatal(err)
	}
	infos, ofRoot := again.candidates(this, now)
	if len(infos) != 2 || infos[0].ID != realID(t, 1) || !ofRoot[infos[0].ID] || ofRoot[infos[1].ID] || len(infos[0].Addrs) != 1 {
		t.Errorf("remembered %v, %v, expected the one who gave this root before the one who gave another", infos, ofRoot)
	}
	if got := again.score(realID(t, 1)); got != 130 {
		t.Errorf("score %d, expected 130", got)
	}
	if len(on) != 2 {
		t.Errorf("%d rows are left, expected that those which make no sense are gone", len(on))
	}
	if err := again.forget(realID(t, 1)); err != nil || len(on) != 1 || again.score(realID(t, 1)) != 0 {
		t.Errorf("forget: %v, %d rows, score %d", err, len(on), again.score(realID(t, 1)))
	}
	if infos, _ := again.candidates(this, now.Add(rememberFor+time.Second)); len(infos) != 0 {
		t.Errorf("%v are remembered for longer than they should", infos)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	on, now := make(shelf), time.Now()
	m, err := OpenMemory(on)
	if err != nil {
		t.Fatal(err)
	}
	give := func(n int, root cid.Cid, bytes int64, at time.Time) {
		if err := m.delivered(delivery(t, n, root, bytes), at); err != nil {
			t.Fatal(err)
		}
	}
	for n := range maxRemembered {
		give(n, root(t), int64(100+n), now)
	}
	give(1000, root(t), 50, now)
	if len(on) != maxRemembered || m.score(realID(t, 1000)) != 0 {
		t.Errorf("%d rows; a newcomer that gave less than all others took the place of one", len(on))
	}
	give(1001, root(t), 5000, now)
	if len(on) != maxRemembered || m.score(realID(t, 1001)) == 0 || m.score(realID(t, 0)) != 0 {
		t.Errorf("%d rows; expected the newcomer in the place of who gave least", len(on))
	}
	give(1002, root(t), 1, now.Add(rememberFor))
	if len(on) != maxRemembered || m.score(realID(t, 1002)) == 0 {
		t.Errorf("%d rows; expected the newcomer in the place of somebody who has been gone for long", len(on))
	}
	for n := range maxGivenRoots + 5 {
		give(1001, rootOf(t, fmt.Sprint(n)), 1<<50, now)
	}
	if p := m.known[realID(t, 1001)]; len(p.roots) != maxGivenRoots || p.bytes != maxDelivered {
		t.Errorf("%d roots and %d bytes of one peer, expected %d and %d", len(p.roots), p.bytes, maxGivenRoots, maxDelivered)
	}
	infos, _ := m.candidates(rootOf(t, "nobody has it"), now)
	if len(infos) != maxGuessed {
		t.Errorf("%d peers are guessed at, expected %d", len(infos), maxGuessed)
	}
	if row := on[string(realID(t, 1001))]; len(row) > maxMemoryRow {
		t.Errorf("a row of %d bytes, expected at most %d", len(row), maxMemoryRow)
	}
}

func sampleRow(t testing.TB) []byte {
	p := donor{
		seen: time.Unix(1e9, 0), bytes: 1234, addrs: addrs("/ip4/10.0.0.1/tcp/4747", "/ip4/10.0.0.1/udp/4747/quic-v1"),
		roots: []given{{root(t), 1000}, {rootOf(t, "x"), 234}},
	}
	return p.row()
}

func TestBadMemoryRows(t *testing.T) {
	row := sampleRow(t)
	if _, err := parseDonor(row); err != nil {
		t.Fatal(err)
	}
	for n := range row {
		if _, err := parseDonor(row[:n]); !errors.Is(err, errMemoryRow) {
			t.Errorf("cut at %d of %d: %v", n, len(row), err)
		}
	}
	for name, bad := range map[string][]byte{
		"a byte too many": append(slices.Clone(row), 0),
		"too long":        append(slices.Clone(row), make([]byte, maxMemoryRow)...),
		"many addresses":  {1, 1, maxKnownAddrs + 1},
		"many roots":      {1, 1, 0, maxGivenRoots + 1},
	} {
		if _, err := parseDonor(bad); !errors.Is(err, errMemoryRow) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzMemoryRow(f *testing.F) {
	f.Add(sampleRow(f))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseDonor(b)
		if err != nil {
			return
		}
		if again := p.row(); !bytes.Equal(again, b) {
			t.Errorf("%x became %x", b, again)
		}
	})
}

// B81: who was met while the clock was years ahead would be the one seen last for all those years.
func TestMemoryOfAWrongClock(t *testing.T) {
	on, now := make(shelf), time.Now()
	m, err := OpenMemory(on)
	if err != nil {
		t.Fatal(err)
	}
	this := root(t)
	if err := m.delivered(delivery(t, 1, this, 10), now.AddDate(10, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if err := m.delivered(delivery(t, 2, this, 10), now); err != nil {
		t.Fatal(err)
	}
	if infos, _ := m.candidates(this, now); len(infos) != 1 || infos[0].ID != realID(t, 2) {
		t.Errorf("candidates %v, expected the one who was met by a clock that was right", infos)
	}
	if _, err := OpenMemory(on); err != nil || len(on) != 1 {
		t.Errorf("%d rows are left, %v, expected one", len(on), err)
	}
}
