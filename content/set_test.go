package content

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSetIsASet does the same at random to a Set and to a map.
func TestSetIsASet(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 65, 128, 1000} {
		r := rand.New(rand.NewPCG(uint64(n), 7))
		s, model := NewSet(n), map[int]bool{}
		for range 500 {
			i := r.IntN(n+4) - 2
			inside := i >= 0 && i < n
			switch r.IntN(4) {
			case 0, 1:
				if s.Add(i) != (inside && !model[i]) {
					t.Fatalf("%d: Add(%d) is wrong", n, i)
				}
				if inside {
					model[i] = true
				}
			case 2:
				if s.Remove(i) != model[i] {
					t.Fatalf("%d: Remove(%d) is wrong", n, i)
				}
				delete(model, i)
			case 3:
				span := Range{uint32(max(i, 0)), uint32(r.IntN(200))}
				s.AddRange(span)
				for j := int(span.First); j < min(int(span.First+span.Count), n); j++ {
					model[j] = true
				}
			}
			sameSet(t, s, model)
		}
		sameSet(t, s.Clone(), model)
	}
}

func sameSet(t *testing.T, s *Set, model map[int]bool) {
	t.Helper()
	if s.Count() != len(model) || s.Full() != (len(model) == s.Len()) {
		t.Fatalf("%d of %d, full is %v; want %d", s.Count(), s.Len(), s.Full(), len(model))
	}
	next, unset := -1, -1
	for i := s.Len() + 1; i >= -1; i-- {
		if s.Has(i) != model[i] {
			t.Fatalf("Has(%d) = %v", i, s.Has(i))
		}
		if model[i] {
			next = i
		} else if i >= 0 && i < s.Len() {
			unset = i
		}
		if s.NextSet(i) != next || s.NextUnset(i) != unset {
			t.Fatalf("from %d: NextSet = %d, NextUnset = %d; want %d, %d", i, s.NextSet(i), s.NextUnset(i), next, unset)
		}
	}
	var got []int
	last := -1
	for _, r := range s.Ranges() {
		if r.Count == 0 || int(r.First) == last {
			t.Fatalf("range %v does not stand apart from the one before", r)
		}
		for i := range r.Count {
			got = append(got, int(r.First+i))
		}
		last = int(r.First + r.Count)
	}
	if !slices.IsSorted(got) || len(got) != len(model) {
		t.Fatalf("ranges %v", s.Ranges())
	}
}

func TestSetTakesNothingFromOutside(t *testing.T) {
	s := NewSet(100)
	s.AddRange(Range{90, math.MaxUint32})
	s.AddRange(Range{math.MaxUint32, math.MaxUint32})
	s.AddRange(Range{100, 1})
	if want := []Range{{90, 10}}; !slices.Equal(s.Ranges(), want) {
		t.Errorf("%v, want %v", s.Ranges(), want)
	}
	if s := NewSet(-1); s.Len() != 0 || !s.Full() || s.NextUnset(0) != -1 {
		t.Error("a set of fewer than no numbers")
	}
	c := s.Clone()
	c.Add(1)
	if s.Has(1) {
		t.Error("a clone shares its bits")
	}
}
