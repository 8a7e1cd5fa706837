package engine

import (
	"testing"

	"pgregory.net/rapid"
)

// A set behaves like the simplest one that could stand in its place.
func TestSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.SampledFrom([]int{1, 63, 64, 65, 500, 9000, 20_000}).Draw(t, "length")
		number := rapid.Custom(func(t *rapid.T) uint32 { return uint32(rapid.IntRange(0, length-1).Draw(t, "n")) })
		var a, b set
		a.grow(length)
		b.grow(length)
		model := make([]bool, length)
		for range rapid.IntRange(0, 20).Draw(t, "changes") {
			first := number.Draw(t, "first")
			end := min(first+uint32(rapid.SampledFrom([]int{0, 1, 2, 63, 64, 65, 6000}).Draw(t, "count")), uint32(length))
			on := rapid.Bool().Draw(t, "on")
			switch {
			case on && end == first+1:
				if a.add(first) == model[first] {
					t.Fatalf("add %d says the wrong thing", first)
				}
			case on:
				a.addRange(first, end)
			case end == first+1:
				if a.remove(first) != model[first] {
					t.Fatalf("remove %d says the wrong thing", first)
				}
			default:
				a.removeRange(first, end)
			}
			for c := first; c < end; c++ {
				model[c] = on
			}
		}
		for range 5 {
			b.add(number.Draw(t, "in b"))
		}
		compareSet(t, &a, &b, model, number)
	})
}

func compareSet(t *rapid.T, a, b *set, model []bool, number *rapid.Generator[uint32]) {
	n, last, both := 0, -1, 0
	for c, in := range model {
		if a.has(uint32(c)) != in {
			t.Fatalf("has %d is %v", c, !in)
		}
		if in {
			n, last = n+1, c
			if b.has(uint32(c)) {
				both++
			}
		}
	}
	if a.n != n || a.last() != last || inBoth(a, b) != both {
		t.Fatalf("holds %d up to %d, %d of them in both; want %d, %d, %d", a.n, a.last(), inBoth(a, b), n, last, both)
	}
	find := func(from uint32, ok func(c int) bool) int {
		for c := int(from); c < len(model); c++ {
			if ok(c) {
				return c
			}
		}
		return -1
	}
	for range 5 {
		from, end := number.Draw(t, "from"), number.Draw(t, "end")
		if got, want := a.next(from), find(from, func(c int) bool { return model[c] }); got != want {
			t.Fatalf("next %d is %d, want %d", from, got, want)
		}
		if got, want := nextBoth(a, b, from), find(from, func(c int) bool { return model[c] && b.has(uint32(c)) }); got != want {
			t.Fatalf("next in both from %d is %d, want %d", from, got, want)
		}
		want := find(from, func(c int) bool { return !model[c] })
		if want >= int(end) {
			want = -1
		}
		if got := a.nextAbsent(from, end); got != want {
			t.Fatalf("next absent from %d before %d is %d, want %d", from, end, got, want)
		}
		if from > end {
			continue
		}
		before := find(from, func(c int) bool { return model[c] || c == int(end) })
		if got := a.nextBefore(from, end); int(got) != before {
			t.Fatalf("next from %d before %d is %d, want %d", from, end, got, before)
		}
	}
}

// A search that gives up says where, and one that goes on from there finds what is to be found.
func TestSearchGoesOnWhereItStopped(t *testing.T) {
	const length = 100_000
	var a, b set
	a.grow(length)
	b.grow(length)
	for c := uint32(0); c+1 < length; c += 2 {
		a.add(c)
		b.add(c + 1)
	}
	b.add(99_000)
	from, rounds := uint32(0), 0
	for {
		c, stopped := nextBothWithin(&a, &b, from, 100)
		if c == 99_000 {
			break
		}
		if c >= 0 || stopped <= from || stopped >= length {
			t.Fatalf("from %d: found %d, stopped at %d", from, c, stopped)
		}
		from = stopped
		rounds++
	}
	if rounds < 10 {
		t.Errorf("looked at 1,500 words in %d rounds of 100", rounds)
	}
}
