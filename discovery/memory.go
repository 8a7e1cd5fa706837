package discovery

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/content"
)

// Shelf keeps rows through restarts. It does not look into them.
type Shelf interface {
	Rows() (map[string][]byte, error)
	// Put writes a row; nil removes it.
	Put(key string, row []byte) error
}

// Memory knows which peers delivered verified bytes, of which roots, and where they were reached. It lives as long as the home,
// so that a second download from the same people needs no discovery. A few hundred peers are kept, for a month each.
type Memory struct {
	shelf Shelf

	mu    sync.Mutex // guards known, and is held while the shelf is written
	known map[peer.ID]donor
}

// donor is a peer that delivered.
type donor struct {
	seen  time.Time // last
	bytes int64     // of all roots
	addrs []ma.Multiaddr
	roots []given // the latest last
}

type given struct {
	root  cid.Cid
	bytes int64
}

// Delivery is what one peer gave in one download.
type Delivery struct {
	Peer  peer.ID
	Addrs []ma.Multiaddr // at which it was reached, without /p2p/; it is not remembered if there are none
	Root  cid.Cid
	Bytes int64 // verified
}

// OpenMemory reads what was remembered; rows that make no sense or are too old are removed.
func OpenMemory(shelf Shelf) (*Memory, error) {
	rows, err := shelf.Rows()
	if err != nil {
		return nil, err
	}
	m := &Memory{shelf: shelf, known: make(map[peer.ID]donor)}
	for key, row := range rows {
		p, err := parseDonor(row)
		if id, bad := peer.IDFromBytes([]byte(key)); err == nil && bad == nil && p.fresh(time.Now()) && len(m.known) < maxRemembered {
			m.known[id] = p
			continue
		}
		if err := shelf.Put(key, nil); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Memory) delivered(d Delivery, now time.Time) error {
	addrs := best(d.Peer, d.Addrs)
	if d.Bytes <= 0 || len(addrs) == 0 {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p, known := m.known[d.Peer]
	if !known && len(m.known) >= maxRemembered {
		if err := m.makeRoom(d.Bytes, now); err != nil || len(m.known) >= maxRemembered {
			return err
		}
	}
	g := given{d.Root, d.Bytes}
	if i := slices.IndexFunc(p.roots, func(g given) bool { return g.root.Equals(d.Root) }); i >= 0 {
		g.bytes = min(g.bytes+p.roots[i].bytes, maxDelivered)
		p.roots = slices.Delete(slices.Clone(p.roots), i, i+1)
	}
	p.roots = append(slices.Clone(p.roots), g)
	p.roots = p.roots[max(0, len(p.roots)-maxGivenRoots):]
	p.seen, p.bytes, p.addrs = now, min(p.bytes+d.Bytes, maxDelivered), addrs[:min(len(addrs), maxKnownAddrs)]
	m.known[d.Peer] = p
	return m.shelf.Put(string(d.Peer), p.row())
}

// makeRoom forgets who has been gone for too long, or else who delivered least, if that is less than a newcomer has.
func (m *Memory) makeRoom(bytes int64, now time.Time) error {
	least := peer.ID("")
	for id, p := range m.known {
		if !p.fresh(now) {
			least = id
			break
		}
		if p.bytes < bytes && (least == "" || p.bytes < m.known[least].bytes) {
			least = id
		}
	}
	if least == "" {
		return nil
	}
	delete(m.known, least)
	return m.shelf.Put(string(least), nil)
}

func (m *Memory) forget(p peer.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.known[p]; !known {
		return nil
	}
	delete(m.known, p)
	return m.shelf.Put(string(p), nil)
}

func (m *Memory) score(p peer.ID) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[p].bytes
}

// candidates returns those who delivered root, and a few of those who delivered anything, the best first.
func (m *Memory) candidates(root cid.Cid, now time.Time) (infos []peer.AddrInfo, ofRoot map[peer.ID]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	type candidate struct {
		info      peer.AddrInfo
		root, all int64
	}
	var all []candidate
	for id, p := range m.known {
		if !p.fresh(now) {
			continue
		}
		c := candidate{peer.AddrInfo{ID: id, Addrs: p.addrs}, 0, p.bytes}
		for _, g := range p.roots {
			if g.root.Equals(root) {
				c.root = g.bytes
			}
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.root, a.root), cmp.Compare(b.all, a.all), cmp.Compare(a.info.ID, b.info.ID))
	})
	ofRoot = make(map[peer.ID]bool)
	for _, c := range all[:min(len(all), maxGuessed)] {
		infos = append(infos, c.info)
		if c.root > 0 {
			ofRoot[c.info.ID] = true
		}
	}
	return infos, ofRoot
}

// fresh reports whether a donor was seen lately enough to be remembered, and not at a time that is still to come, as the clock was wrong.
func (p donor) fresh(now time.Time) bool {
	past := now.Sub(p.seen)
	return past < rememberFor && past > -clockSlack
}

// row is a donor as unsigned varints and strings of bytes with their length before them: when it was seen last (seconds),
// bytes, addresses, roots with their bytes.
func (p donor) row() []byte {
	b := binary.AppendUvarint(nil, uint64(max(0, p.seen.Unix())))
	b = binary.AppendUvarint(b, uint64(p.bytes))
	b = binary.AppendUvarint(b, uint64(len(p.addrs)))
	for _, a := range p.addrs {
		b = append(binary.AppendUvarint(b, uint64(len(a.Bytes()))), a.Bytes()...)
	}
	b = binary.AppendUvarint(b, uint64(len(p.roots)))
	for _, g := range p.roots {
		b = append(binary.AppendUvarint(b, uint64(g.root.ByteLen())), g.root.Bytes()...)
		b = binary.AppendUvarint(b, uint64(g.bytes))
	}
	return b
}

var errMemoryRow = errors.New("a remembered peer makes no sense")

// parseDonor reads a row. The disk may hold anything.
func parseDonor(b []byte) (donor, error) {
	if len(b) > maxMemoryRow {
		return donor{}, errMemoryRow
	}
	r := fields{rest: b}
	p := donor{seen: time.Unix(int64(r.number(maxMemorySeconds)), 0), bytes: int64(r.number(maxDelivered))}
	for range r.number(maxKnownAddrs) {
		a, err := ma.NewMultiaddrBytes(r.bytes())
		r.bad = r.bad || err != nil
		p.addrs = append(p.addrs, a)
	}
	for range r.number(maxGivenRoots) {
		root, err := content.DecodeCID(r.bytes())
		r.bad = r.bad || err != nil
		p.roots = append(p.roots, given{root, int64(r.number(maxDelivered))})
	}
	if r.bad || len(r.rest) > 0 {
		return donor{}, errMemoryRow
	}
	return p, nil
}

// bytes reads a string of bytes.
func (r *fields) bytes() []byte {
	n := r.number(uint64(len(r.rest)))
	if n > uint64(len(r.rest)) {
		r.bad = true
	}
	if r.bad {
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}
