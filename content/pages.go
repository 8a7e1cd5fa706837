package content

import (
	"encoding/binary"
	"hash/maphash"
)

// What a tree is kept in. A tree can have a million of everything, so there are no pointers, no slice is ever copied to a
// larger one as a whole, and small trees take little.

const (
	pageBits = 12
	pageSize = 1 << pageBits
)

// pages is a list that grows by pages.
type pages[T any] struct {
	list [][]T
	n    int
}

func (p *pages[T]) add(v T) {
	if p.n&(pageSize-1) == 0 {
		var page []T
		if p.n > 0 {
			page = make([]T, 0, pageSize)
		}
		p.list = append(p.list, page)
	}
	last := &p.list[len(p.list)-1]
	*last = append(*last, v)
	p.n++
}

// at returns the place of an element, which is good until the next add.
func (p *pages[T]) at(i uint32) *T { return &p.list[i>>pageBits][i&(pageSize-1)] }

// arena keeps strings of up to maxPath bytes one behind the other, each with its length before it.
type arena struct{ list [][]byte }

const (
	arenaBits = 16
	arenaSize = 1 << arenaBits
)

// add returns the place of the string.
func (a *arena) add(s []byte) uint32 {
	last := len(a.list) - 1
	if last < 0 || len(a.list[last])+uvarintSize(uint64(len(s)))+len(s) > arenaSize {
		var page []byte
		if last >= 0 {
			page = make([]byte, 0, arenaSize)
		}
		a.list = append(a.list, page)
		last++
	}
	at := len(a.list[last])
	b := binary.AppendUvarint(a.list[last], uint64(len(s)))
	a.list[last] = append(b, s...)
	return uint32(last)<<arenaBits | uint32(at)
}

func (a *arena) get(at uint32) []byte {
	b := a.list[at>>arenaBits][at&(arenaSize-1):]
	n, size := binary.Uvarint(b)
	return b[size : size+int(n)]
}

// digests gives distinct digests numbers, by first occurrence. It is a hash table with open addressing whose hash is seeded:
// strangers choose the digests.
type digests struct {
	pages[Digest]
	slots []uint32 // number+1, or 0; a power of two of them
	seed  maphash.Seed
}

// number returns the number of a digest, and whether it was given just now.
func (t *digests) number(d Digest) (n uint32, added bool) {
	if t.n >= len(t.slots)/4*3 {
		t.grow()
	}
	s := t.find(d)
	if t.slots[s] != 0 {
		return t.slots[s] - 1, false
	}
	t.add(d)
	t.slots[s] = uint32(t.n)
	return uint32(t.n - 1), true
}

// find returns the slot of a digest, or the empty one where it belongs.
func (t *digests) find(d Digest) uint64 {
	mask := uint64(len(t.slots) - 1)
	s := maphash.Bytes(t.seed, d[:]) & mask
	for t.slots[s] != 0 && *t.at(t.slots[s] - 1) != d {
		s = (s + 1) & mask
	}
	return s
}

func (t *digests) grow() {
	if t.slots == nil {
		t.seed = maphash.MakeSeed()
	}
	t.slots = make([]uint32, max(2*len(t.slots), 16))
	for i := range uint32(t.n) {
		t.slots[t.find(*t.at(i))] = i + 1
	}
}
