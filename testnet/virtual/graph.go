package virtual

import (
	"math/rand/v2"
	"slices"
)

// neighbours joins each of count nodes with so many others, in rings through all of them in an order of chance: so the whole holds
// together, and everybody is a few steps away. Where two rings agree a node has one neighbour less.
func neighbours(count, each int, seed uint64) [][]int {
	rng := rand.New(rand.NewPCG(seed, 0x11e5))
	linked := make([][]int, count)
	join := func(a, b int) {
		if a != b && !slices.Contains(linked[a], b) && len(linked[a]) < each && len(linked[b]) < each {
			linked[a], linked[b] = append(linked[a], b), append(linked[b], a)
		}
	}
	for range max(each/2, 1) {
		order := rng.Perm(count)
		for i, a := range order {
			join(a, order[(i+1)%count])
		}
	}
	for tries := 0; tries < 20*count; tries++ { // what the rings left
		join(rng.IntN(count), rng.IntN(count))
	}
	return linked
}
