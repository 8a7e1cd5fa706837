package content

import (
	"cmp"
	"fmt"
	"hash"
	"math/bits"
	"slices"

	mh "github.com/multiformats/go-multihash"
	mhcore "github.com/multiformats/go-multihash/core"
)

// A large directory is a trie over the hashes of its names (a HAMT). Each node of it, a shard, spends some bits of the hash,
// the highest first. The value of these bits is a slot; a slot is empty, or holds an entry, or, where several names agree in
// all bits so far, another shard. The name of each link begins with its slot in hexadecimal, which is all that there is to the
// name of a shard.

// shardFanout is how many slots the shards have that we make.
const shardFanout = 256

// The least and the largest fan-out of shards that others made.
const (
	minFanout = 8
	maxFanout = 1024
)

// nameHash is murmur3-x64-64, which makes a trie of names.
type nameHash struct{ h hash.Hash64 }

func newNameHash() nameHash {
	h, err := mhcore.GetHasher(mh.MURMUR3X64_64)
	if err != nil {
		panic("content: no murmur3: " + err.Error())
	}
	return nameHash{h.(hash.Hash64)}
}

func (n nameHash) sum(name []byte) uint64 {
	n.h.Reset()
	n.h.Write(name)
	return n.h.Sum64()
}

// slot is an entry of a directory that is being made.
type slot struct {
	name  string
	ref   ref
	tsize uint64
	hash  uint64
}

// makeSharded makes a directory of many blocks.
func makeSharded(slots []slot) (Made, error) {
	h := newNameHash()
	for i := range slots {
		slots[i].hash = h.sum([]byte(slots[i].name))
	}
	slices.SortFunc(slots, func(a, b slot) int { return cmp.Compare(a.hash, b.hash) })
	var m Made
	root, err := m.addShard(slots, 0)
	if err != nil {
		return Made{}, err
	}
	m.CID, m.Tsize = root.ref.cid(), root.tsize
	return m, nil
}

// addShard makes the shard of entries that agree in the first bits of their hashes, as many as used says. It calls itself for
// the shards below, which is eight deep at most.
func (m *Made) addShard(slots []slot, used int) (slot, error) {
	const width = 8 // bits that a shard of shardFanout slots spends
	if used+width > 64 {
		return slot{}, fmt.Errorf("make directory: %w: %q and %q have the same hash", ErrLink, short(slots[0].name), short(slots[1].name))
	}
	var field [shardFanout / 8]byte
	b := make([]byte, 0, min(len(slots), shardFanout)*64)
	tsize := uint64(0)
	for len(slots) > 0 {
		number := slotOf(slots[0].hash, used, width)
		n := 1
		for n < len(slots) && slotOf(slots[n].hash, used, width) == number {
			n++
		}
		s := slots[0]
		if n > 1 {
			var err error
			if s, err = m.addShard(slots[:n], used+width); err != nil {
				return slot{}, err
			}
		}
		slots = slots[n:]
		field[len(field)-1-number/8] |= 1 << (number % 8)
		const digits = "0123456789ABCDEF"
		b = appendLink(b, s.ref, string([]byte{digits[number>>4], digits[number&15]}), s.name, s.tsize)
		tsize += s.tsize
	}
	data := fsNode{kind: fsShard, data: field[:], hashType: mh.MURMUR3X64_64, fanout: shardFanout}
	for len(data.data) > 0 && data.data[0] == 0 {
		data.data = data.data[1:]
	}
	b = appendData(b, data.append(nil))
	return slot{ref: m.add(b), tsize: tsize + uint64(len(b))}, nil
}

// slotOf returns the bits of a hash behind the first used ones.
func slotOf(hash uint64, used, width int) int { return int(hash << used >> (64 - width)) }

// shard is what all nodes of one trie have in common, and where in it one of them lies.
type shard struct {
	width int    // bits of the hash that each node spends
	used  int    // bits that were spent above
	path  uint64 // these bits, at the top
}

// digits returns how many hexadecimal digits a slot has in the names of links.
func (s shard) digits() int { return (s.width + 3) / 4 }

// below returns the shard in a slot.
func (s shard) below(number int) shard {
	return shard{s.width, s.used + s.width, s.path | uint64(number)<<(64-s.used-s.width)}
}

// newShard looks at the data of a shard and says what trie it belongs to; above is where it must lie, if it is not the root.
func newShard(n fsNode, above *shard) (shard, error) {
	if n.hashType != mh.MURMUR3X64_64 {
		return shard{}, badNode("a shard with hash function %#x", n.hashType)
	}
	if n.fanout < minFanout || n.fanout > maxFanout || n.fanout&(n.fanout-1) != 0 {
		return shard{}, badNode("a shard with %d slots", n.fanout)
	}
	s := shard{width: bits.TrailingZeros64(n.fanout)}
	if above != nil {
		if s.width != above.width {
			return shard{}, badNode("a shard of %d slots below one of %d", n.fanout, 1<<above.width)
		}
		s = *above
	}
	if s.used+s.width > 64 {
		return shard{}, badNode("a shard lies deeper than its names have bits")
	}
	if len(n.data) > int(n.fanout/8) {
		return shard{}, badNode("a shard marks slots that it cannot have")
	}
	return s, nil
}

// check looks at every link of a shard: the slots are those that the node says are full, in ascending order, and each name
// has the hash of where it stands, so that no name can be there twice.
func (s shard) check(n pbNode, field []byte, h nameHash) error {
	marked := 0
	for _, b := range field {
		marked += bits.OnesCount8(b)
	}
	if marked != n.count {
		return badNode("a shard marks %d slots and has %d links", marked, n.count)
	}
	last := -1
	return n.each(func(l pbLink) error {
		number, name, err := s.split(l.name)
		if err != nil {
			return err
		}
		if number <= last {
			return badNode("the slots of a shard are out of order")
		}
		last = number
		if at := len(field) - 1 - number/8; at < 0 || field[at]&(1<<(number%8)) == 0 {
			return badNode("a shard has a link in a slot that it says is empty")
		}
		if here := s.below(number); len(name) > 0 && (h.sum(name)^here.path)>>(64-here.used) != 0 {
			return badNode("an entry stands where its name does not belong")
		}
		return nil
	})
}

// split cuts the name of a link into its slot and the name of an entry, which is empty for a shard.
func (s shard) split(name []byte) (number int, rest []byte, err error) {
	digits := s.digits()
	if len(name) < digits {
		return 0, nil, badNode("the name of a link in a shard has no slot")
	}
	for _, c := range name[:digits] {
		if !isHex(c) || 'a' <= c && c <= 'f' {
			return 0, nil, badNode("the name of a link in a shard has no slot")
		}
		number = number<<4 | int(hexValue(c))
	}
	return number, name[digits:], nil
}
