package sim

import (
	"math"
	"math/rand/v2"
	"time"
)

// Swarm is one source and n receivers, all on equal links, with 32 neighbours each or all of them: 64 chunks of 1 MiB.
func Swarm(n int) Scenario {
	return Scenario{Name: "equal links", Chunks: 64, Size: defaultSize, Neighbours: 32, Hosts: make([]Host, n+1)}.with(func(i int, h *Host) {
		*h = Host{Up: defaultRate, Down: defaultRate, Delay: defaultDelay}
		if i == 0 {
			h.Role = Source
		}
	})
}

// with changes every host. It changes no other scenario that was made from the same one.
func (sc Scenario) with(bend func(i int, h *Host)) Scenario {
	hosts := make([]Host, len(sc.Hosts))
	copy(hosts, sc.Hosts)
	for i := range hosts {
		bend(i, &hosts[i])
	}
	sc.Hosts = hosts
	return sc
}

// and adds hosts.
func (sc Scenario) and(hosts ...Host) Scenario {
	sc.Hosts = append(append([]Host{}, sc.Hosts...), hosts...)
	return sc
}

func (sc Scenario) named(name string) Scenario {
	sc.Name = name
	return sc
}

// Standard returns the scenarios that ideas are compared by, around a swarm of so many receivers.
func Standard(receivers int, seed uint64) []Scenario {
	even := Swarm(receivers)
	even.Seed = seed
	bound := even.Bound()
	fast := Host{Up: 1000 * Mbit, Down: 1000 * Mbit, Delay: defaultDelay}
	some := max(receivers/8, 1)
	return []Scenario{
		even,
		long(even).named("256 chunks"),
		small(even).named("6,400 chunks of 10 kB"),
		four().named("4 sources of 50 Mbit/s, receiver of 1 Gbit/s"),
		four().with(bad).named("the same, one lies and one stalls"),
		even.with(unequal).named("uplinks of 20, 50, 100 and 200 Mbit/s"),
		even.with(lognormal(seed)).named("uplinks lognormal, 100 Mbit/s and sigma 1"),
		even.with(home).named("uplinks a tenth of the downlinks"),
		even.with(first(fast)).named("source of 1 Gbit/s"),
		even.with(distant).named("round trip 100 ms"),
		even.with(scattered).named("round trip 1, 50 or 100 ms"),
		even.with(late(bound, receivers)).named("half come late, one after the other"),
		even.with(flicker(bound, seed)).named("a quarter leave and come back"),
		killed(even, bound).named("half killed in mid-swarm, source killed when it can be spared"),
		even.and(repeat(Host{Role: Liar}, some)...).named("an eighth lie"),
		even.and(repeat(Host{Role: Staller}, some)...).named("an eighth stall"),
		even.and(repeat(Host{Role: Boaster}, some)...).named("an eighth boast of what they have not"),
		even.and(repeat(Host{Role: FreeRider}, some)...).named("an eighth give nothing"),
		even.and(repeat(Host{Role: Deaf}, some)...).named("an eighth ask and do not read"),
	}
}

func repeat(h Host, n int) []Host {
	hosts := make([]Host, n)
	for i := range hosts {
		hosts[i] = h
	}
	return hosts
}

func long(sc Scenario) Scenario {
	sc.Chunks = 256
	return sc
}

func small(sc Scenario) Scenario {
	sc.Chunks, sc.Size = 6400, 10_000
	return sc
}

// four slow sources feed one fast line.
func four() Scenario {
	hosts := append(repeat(Host{Role: Source, Up: 50 * Mbit}, 4), Host{Up: 1000 * Mbit, Down: 1000 * Mbit})
	return Scenario{Chunks: 256, Hosts: hosts}
}

func bad(i int, h *Host) {
	switch i {
	case 0:
		h.Role = Liar
	case 1:
		h.Role = Staller
	}
}

func unequal(i int, h *Host) {
	if i > 0 {
		h.Up = [...]float64{20 * Mbit, 50 * Mbit, 100 * Mbit, 200 * Mbit}[i%4]
		h.Down = max(h.Up, 100*Mbit)
	}
}

func lognormal(seed uint64) func(int, *Host) {
	rng := rand.New(rand.NewPCG(seed, 2))
	return func(i int, h *Host) {
		if i > 0 {
			h.Up = min(max(100*Mbit*math.Exp(rng.NormFloat64()), 2*Mbit), 2000*Mbit)
			h.Down = max(h.Up, 100*Mbit)
		}
	}
}

func home(i int, h *Host) {
	if i > 0 {
		h.Up = h.Down / 10
	}
}

func first(source Host) func(int, *Host) {
	return func(i int, h *Host) {
		if i == 0 {
			source.Role = Source
			*h = source
		}
	}
}

func distant(_ int, h *Host) { h.Delay = 25 * time.Millisecond }

// scattered puts every other host far away.
func scattered(i int, h *Host) {
	if i%2 == 1 {
		distant(i, h)
	}
}

// late lets every other receiver come while the first ones are at it.
func late(bound time.Duration, receivers int) func(int, *Host) {
	return func(i int, h *Host) {
		if i > 0 && i%2 == 0 {
			h.Joins = bound * time.Duration(i) / time.Duration(receivers)
		}
	}
}

// flicker lets every fourth receiver leave once and come back.
func flicker(bound time.Duration, seed uint64) func(int, *Host) {
	rng := rand.New(rand.NewPCG(seed, 3))
	return func(i int, h *Host) {
		if i > 0 && i%4 == 0 {
			h.Leaves = time.Duration(float64(bound) * (0.1 + 0.6*rng.Float64()))
			h.Returns = h.Leaves + time.Duration(float64(bound)*(0.05+0.3*rng.Float64()))
		}
	}
}

// killed lets every other receiver go for good at half time, and the source as soon as the others have everything among them.
func killed(sc Scenario, bound time.Duration) Scenario {
	sc.KillSources = true
	return sc.with(func(i int, h *Host) {
		if i > 0 && i%2 == 0 {
			h.Leaves = bound / 2
		}
	})
}
