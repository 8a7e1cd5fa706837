package sim

import (
	"math/rand/v2"
	"time"

	"github.com/shoal-p2p/shoal/transfer/engine"
)

// Scenario is a swarm: who takes part, what they share and what goes wrong. The zero value of every field but Hosts and Chunks
// is replaced by its default.
type Scenario struct {
	Name   string
	Seed   uint64
	Chunks int
	Size   int // bytes of a chunk; 1 MiB

	Hosts            []Host
	Neighbours       int // of each host, chosen at random; 0: all
	SourceNeighbours int // of each source; 0: as many as the others

	KillSources bool // as soon as the receivers have every chunk among them
	Changes     []Change

	Watch Watch

	Frame      int           // bytes of the largest frame; 256 KiB
	Buffer     int           // bytes that a receiver may not have read, beyond what the path holds; 512 KiB
	SendBuffer int           // bytes of a connection that are as good as sent for the engine, and cannot be called off; 0: none
	Overhead   float64       // bytes on the wire for one of payload; 1
	InBand     bool          // messages wait for the frames of their connection before them, as they do in one TCP stream
	Limit      time.Duration // of virtual time; a hundred times the bound and ten minutes

	Engine    engine.Config        // Sizes and Seed are set for each host
	Stopwatch func() time.Duration // a clock, to measure the engine's steps with; nil: they are not measured
}

// Host is one that takes part. A host without Role receives.
type Host struct {
	Role     Role
	Up, Down float64       // bytes a second; 100 Mbit/s
	Delay    time.Duration // between it and the middle of the net; 250 µs

	Joins   time.Duration // when it comes
	Leaves  time.Duration // when it goes; 0: never
	Returns time.Duration // when it comes back with what it had; 0: never

	gone bool // the last of the changes takes it away
}

// Role is what a host has and does.
type Role uint8

// The roles. Only receivers are waited for.
const (
	Receiver  Role = iota // wants everything
	Source                // has everything
	Liar                  // has everything and sends wrong bytes
	Staller               // has everything, and sends nothing of what it is asked for
	Boaster               // says that it has everything, and has nothing
	FreeRider             // wants everything and sends nothing
	Deaf                  // wants everything and does not read it
)

func (h *Host) owns() bool  { return h.Role == Source || h.Role == Liar || h.Role == Staller }
func (h *Host) gives() bool { return h.Role != Staller && h.Role != FreeRider }
func (h *Host) counts() bool {
	return h.Role == Receiver && (h.Leaves == 0 || h.Returns > h.Leaves) && !h.gone
}

// Mbit is a megabit a second, in bytes a second.
const Mbit = 1e6 / 8

const (
	defaultRate   = 100 * Mbit
	defaultDelay  = 250 * time.Microsecond
	defaultSize   = 1 << 20
	defaultFrame  = 256 << 10
	defaultBuffer = 512 << 10
)

func (sc Scenario) withDefaults() Scenario {
	sc.Size = orDefault(sc.Size, defaultSize)
	sc.Frame = orDefault(sc.Frame, defaultFrame)
	sc.Buffer = max(orDefault(sc.Buffer, defaultBuffer), sc.Frame)
	if sc.SendBuffer > 0 {
		sc.SendBuffer = max(sc.SendBuffer, sc.Frame)
	}
	sc.Overhead = orDefault(sc.Overhead, 1)
	sc.Neighbours = orDefault(sc.Neighbours, len(sc.Hosts))
	sc.SourceNeighbours = orDefault(sc.SourceNeighbours, sc.Neighbours)
	hosts := sc.Hosts
	sc.Hosts = make([]Host, len(hosts))
	for i, h := range hosts {
		h.Up = orDefault(h.Up, defaultRate)
		h.Down = orDefault(h.Down, defaultRate)
		h.Delay = orDefault(h.Delay, defaultDelay)
		sc.Hosts[i] = h
	}
	sc.settleChanges()
	sc.Limit = orDefault(sc.Limit, 100*sc.Bound()+10*time.Minute)
	return sc
}

func orDefault[T int | float64 | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

// Run plays a scenario to its end.
func Run(sc Scenario) Result {
	sc = sc.withDefaults()
	n := build(&sc)
	n.run(sc.Limit)
	return n.result()
}

// build makes the net, and says when each host comes and goes.
func build(sc *Scenario) *net {
	n := &net{sc: sc, words: (sc.Chunks + 63) / 64, copies: make([]int32, sc.Chunks)}
	n.slice = max(int64(sc.Bound())/SlicesOfBound, 1)
	n.sizes = make([]uint32, sc.Chunks)
	for c := range n.sizes {
		n.sizes[c] = uint32(sc.Size)
		n.total += int64(sc.Size)
	}
	n.hosts = make([]host, len(sc.Hosts))
	neighbours := graph(sc, rand.New(rand.NewPCG(sc.Seed, 1)))
	for i, h := range sc.Hosts {
		n.hosts[i] = host{Host: h, neighbours: neighbours[i], has: make([]uint64, n.words), missing: sc.Chunks, joined: -1}
		if h.counts() {
			n.waiting++
		}
		n.queue.add(int64(h.Joins), join, 0, uint32(i), 0)
		if h.Leaves > 0 {
			n.queue.add(int64(h.Leaves), leave, 0, uint32(i), 0)
		}
		if h.Returns > 0 {
			n.queue.add(int64(h.Returns), join, 0, uint32(i), 0)
		}
	}
	for i, c := range sc.Changes {
		n.queue.add(int64(c.At), change, 0, uint32(i), 0)
	}
	if sc.Watch.Look != nil && sc.Watch.Every > 0 {
		n.queue.add(0, look, 0, 0, 0)
	}
	return n
}
