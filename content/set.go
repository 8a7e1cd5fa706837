package content

import "math/bits"

// Range is the chunk numbers from First to First+Count-1.
type Range struct{ First, Count uint32 }

// Set is a set of chunk numbers from 0 to Len-1. It is not safe for concurrent use. Numbers outside are never in it: adding
// them does nothing.
type Set struct {
	words []uint64
	n     int
	count int
}

// NewSet returns the empty set of numbers below n.
func NewSet(n int) *Set {
	n = max(n, 0)
	return &Set{words: make([]uint64, (n+63)/64), n: n}
}

// Len returns how many numbers could be in the set.
func (s *Set) Len() int { return s.n }

// Count returns how many numbers are in the set.
func (s *Set) Count() int { return s.count }

// Full says that every number is in the set.
func (s *Set) Full() bool { return s.count == s.n }

// Has says whether i is in the set.
func (s *Set) Has(i int) bool {
	return i >= 0 && i < s.n && s.words[i>>6]&(1<<(i&63)) != 0
}

// Add puts i into the set and says whether that was news.
func (s *Set) Add(i int) bool {
	if i < 0 || i >= s.n || s.Has(i) {
		return false
	}
	s.words[i>>6] |= 1 << (i & 63)
	s.count++
	return true
}

// Remove takes i out of the set and says whether it was in it.
func (s *Set) Remove(i int) bool {
	if !s.Has(i) {
		return false
	}
	s.words[i>>6] &^= 1 << (i & 63)
	s.count--
	return true
}

// AddRange adds every number of r that is below Len.
func (s *Set) AddRange(r Range) {
	first, end := int(r.First), int(min(uint64(r.First)+uint64(r.Count), uint64(s.n)))
	for first < end {
		w := first >> 6
		stop := min((w+1)<<6, end)
		mask := ^uint64(0) >> (64 - (stop - first)) << (first & 63)
		s.count += bits.OnesCount64(mask &^ s.words[w])
		s.words[w] |= mask
		first = stop
	}
}

// NextSet returns the smallest number in the set that is not below from, or -1.
func (s *Set) NextSet(from int) int { return s.next(from, 0) }

// NextUnset returns the smallest number that is not in the set and not below from, or -1.
func (s *Set) NextUnset(from int) int { return s.next(from, ^uint64(0)) }

// next finds the first bit that is set in the words, each flipped by flip.
func (s *Set) next(from int, flip uint64) int {
	from = max(from, 0)
	for from < s.n {
		w := (s.words[from>>6] ^ flip) >> (from & 63)
		if w != 0 {
			from += bits.TrailingZeros64(w)
			break
		}
		from = from&^63 + 64
	}
	if from >= s.n {
		return -1
	}
	return from
}

// Ranges returns what is in the set, in ascending order, as few ranges as there can be.
func (s *Set) Ranges() []Range {
	var out []Range
	for first := s.NextSet(0); first >= 0; {
		end := s.NextUnset(first)
		if end < 0 {
			end = s.n
		}
		out = append(out, Range{uint32(first), uint32(end - first)})
		first = s.NextSet(end)
	}
	return out
}

// Clone returns a copy that shares nothing.
func (s *Set) Clone() *Set {
	return &Set{words: append([]uint64(nil), s.words...), n: s.n, count: s.count}
}
