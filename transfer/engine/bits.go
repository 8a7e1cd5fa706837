package engine

import "math/bits"

// set is a set of chunk numbers below a fixed length. A second row of bits says which words of the first are not empty, so
// that a search skips 4,096 absent numbers at a time. It must not be copied.
type set struct {
	n     int // how many numbers are in it
	words []uint64
	full  []uint64  // bit i: words[i] is not zero
	own   [2]uint64 // words and full, if one of each is enough: a step meets many small sets, and most caches are cold
}

// grow makes room for numbers below length, if there is none yet.
func (s *set) grow(length int) {
	switch {
	case s.words != nil:
	case length <= 64:
		s.words, s.full = s.own[:1:1], s.own[1:]
	default:
		s.words = make([]uint64, (length+63)/64)
		s.full = make([]uint64, (len(s.words)+63)/64)
	}
}

// has works on a set without room as well: it is empty.
func (s *set) has(c uint32) bool {
	w := c / 64
	return int(w) < len(s.words) && s.words[w]&(1<<(c%64)) != 0
}

// add reports whether c is new in it.
func (s *set) add(c uint32) bool {
	w, bit := c/64, uint64(1)<<(c%64)
	if s.words[w]&bit != 0 {
		return false
	}
	s.words[w] |= bit
	s.full[w/64] |= 1 << (w % 64)
	s.n++
	return true
}

// remove reports whether c was in it.
func (s *set) remove(c uint32) bool {
	if !s.has(c) {
		return false
	}
	w := c / 64
	if s.words[w] &^= 1 << (c % 64); s.words[w] == 0 {
		s.full[w/64] &^= 1 << (w % 64)
	}
	s.n--
	return true
}

// addRange adds the numbers from first up to end, without it.
func (s *set) addRange(first, end uint32) {
	eachWord(first, end, func(w uint32, mask uint64) {
		s.n += bits.OnesCount64(mask &^ s.words[w])
		s.words[w] |= mask
		s.full[w/64] |= 1 << (w % 64)
	})
}

// removeRange removes the numbers from first up to end, without it.
func (s *set) removeRange(first, end uint32) {
	if s.n == 0 {
		return
	}
	eachWord(first, end, func(w uint32, mask uint64) {
		s.n -= bits.OnesCount64(mask & s.words[w])
		if s.words[w] &^= mask; s.words[w] == 0 {
			s.full[w/64] &^= 1 << (w % 64)
		}
	})
}

// removeAll removes the numbers that are in o.
func (s *set) removeAll(o *set) {
	for i := range min(len(s.words), len(o.words)) {
		if gone := s.words[i] & o.words[i]; gone != 0 {
			s.n -= bits.OnesCount64(gone)
			if s.words[i] &^= gone; s.words[i] == 0 {
				s.full[i/64] &^= 1 << (i % 64)
			}
		}
	}
}

func eachWord(first, end uint32, f func(w uint32, mask uint64)) {
	for first < end {
		w := first / 64
		stop := min(end, (w+1)*64)
		f(w, (^uint64(0)>>(64-(stop-first)))<<(first%64))
		first = stop
	}
}

// next returns the lowest number in the set that is not below from, or -1.
func (s *set) next(from uint32) int { return nextBoth(s, s, from) }

// nextBefore returns the lowest number in the set that is not below from, or end if there is none before it.
func (s *set) nextBefore(from, end uint32) uint32 {
	const near = 64 * 64
	for c := from; c < end && c-from < near; c = (c/64 + 1) * 64 {
		if w := s.words[c/64] >> (c % 64); w != 0 {
			return min(c+uint32(bits.TrailingZeros64(w)), end)
		}
	}
	if end-from <= near {
		return end
	}
	if c := s.next(from); c >= 0 {
		return min(uint32(c), end)
	}
	return end
}

// inBoth counts the numbers that are in both sets.
func inBoth(a, b *set) (n int) {
	for i := range min(len(a.words), len(b.words)) {
		n += bits.OnesCount64(a.words[i] & b.words[i])
	}
	return n
}

// last returns the highest number in the set, or -1.
func (s *set) last() int {
	for i := len(s.full) - 1; i >= 0; i-- {
		if f := s.full[i]; f != 0 {
			w := i*64 + 63 - bits.LeadingZeros64(f)
			return w*64 + 63 - bits.LeadingZeros64(s.words[w])
		}
	}
	return -1
}

// nextAbsent returns the lowest number below length that is not below from and not in the set, or -1.
func (s *set) nextAbsent(from, length uint32) int {
	if s.words == nil {
		if from < length {
			return int(from)
		}
		return -1
	}
	for c := from; c < length; c = (c/64 + 1) * 64 {
		if gap := ^s.words[c/64] >> (c % 64); gap != 0 {
			if c += uint32(bits.TrailingZeros64(gap)); c < length {
				return int(c)
			}
			return -1
		}
	}
	return -1
}

// nextBoth returns the lowest number that is in both sets and not below from, or -1.
func nextBoth(a, b *set, from uint32) int {
	c, _ := nextBothWithin(a, b, from, len(a.words))
	return c
}

// nextBothWithin is nextBoth that gives up after looking into so many words. It then returns where it stopped.
func nextBothWithin(a, b *set, from uint32, words int) (c int, stopped uint32) {
	w := int(from / 64)
	if w >= len(a.words) || w >= len(b.words) {
		return -1, from
	}
	if both := a.words[w] & b.words[w] >> (from % 64) << (from % 64); both != 0 {
		return w*64 + bits.TrailingZeros64(both), 0
	}
	w++
	for i := w / 64; i < len(a.full); i++ {
		both := a.full[i] & b.full[i]
		if i == w/64 {
			both = both >> (w % 64) << (w % 64)
		}
		for ; both != 0; both &= both - 1 {
			at := i*64 + bits.TrailingZeros64(both)
			if words--; words < 0 {
				return -1, uint32(at) * 64
			}
			if x := a.words[at] & b.words[at]; x != 0 {
				return at*64 + bits.TrailingZeros64(x), 0
			}
		}
	}
	return -1, uint32(len(a.words)) * 64
}
