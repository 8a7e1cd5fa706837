package sim

import "math/rand/v2"

// graph returns the neighbours of each host. Nobody has more than it may; a ring through all of them keeps it in one piece.
func graph(sc *Scenario, rng *rand.Rand) [][]int32 {
	g := grid{adjacent: make([][]int32, len(sc.Hosts)), most: make([]int, len(sc.Hosts))}
	for i, h := range sc.Hosts {
		g.most[i] = sc.Neighbours
		if h.owns() {
			g.most[i] = sc.SourceNeighbours
		}
	}
	if n := len(sc.Hosts); sc.Neighbours >= n-1 {
		for a := range n {
			for b := a + 1; b < n; b++ {
				g.join(int32(a), int32(b))
			}
		}
		return g.adjacent
	}
	order := rng.Perm(len(sc.Hosts))
	for i, a := range order {
		g.join(int32(a), int32(order[(i+1)%len(order)]))
	}
	g.fill(rng, order)
	return g.adjacent
}

type grid struct {
	adjacent [][]int32
	most     []int
}

// fill joins hosts that have room with others that have, at random.
func (g *grid) fill(rng *rand.Rand, order []int) {
	open := make([]int32, 0, len(order))
	for _, a := range order {
		open = append(open, int32(a))
	}
	for _, a := range order {
		for fails := 0; len(g.adjacent[a]) < g.most[a] && len(open) > 1 && fails < 100; {
			i := rng.IntN(len(open))
			b := open[i]
			switch {
			case len(g.adjacent[b]) >= g.most[b]:
				open[i] = open[len(open)-1]
				open = open[:len(open)-1]
			case !g.join(int32(a), b):
				fails++
			}
		}
	}
}

// join reports whether two hosts are now joined that were not.
func (g *grid) join(a, b int32) bool {
	if a == b {
		return false
	}
	for _, x := range g.adjacent[a] {
		if x == b {
			return false
		}
	}
	g.adjacent[a] = append(g.adjacent[a], b)
	g.adjacent[b] = append(g.adjacent[b], a)
	return true
}
