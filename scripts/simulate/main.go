// Command simulate plays swarms of engines in virtual time and prints, as markdown, how close they come to the bound, how
// that grows with the swarm, and what it does to it when links differ, hosts come and go, lie or stall. See docs/scheduling.md.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/transfer/sim"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	growth               string
	receivers            int
	only                 string
	seed                 uint64
	seeds                int
	busy                 bool
	used                 []string // lines about how busy the uplinks were
	reading              time.Duration
	steps                int64 // of all engines so far
	chunks, size         int
	neighbours, ofSource int
	up, down             float64 // Mbit/s
	delay                time.Duration
	frame, buffer        int // KiB
	overhead             float64
	sendBuffer           int // KiB
	inBand               bool
	profile              string
}

func flags() *settings {
	s := &settings{}
	flag.StringVar(&s.growth, "growth", "8,64,512,4096", "receivers of each line of the growth table; empty: no such table")
	flag.IntVar(&s.receivers, "receivers", 32, "receivers of each scenario; 0: no scenarios")
	flag.StringVar(&s.only, "only", "", "play only scenarios whose name contains this")
	flag.Uint64Var(&s.seed, "seed", 1, "of every choice")
	flag.IntVar(&s.seeds, "seeds", 1, "how many seeds to play each scenario with")
	flag.IntVar(&s.chunks, "chunks", 64, "chunks of the file, in the growth table")
	flag.IntVar(&s.size, "size", 1<<20, "bytes of a chunk, in the growth table")
	flag.IntVar(&s.neighbours, "neighbours", 32, "of each host, chosen at random")
	flag.IntVar(&s.ofSource, "source-neighbours", 0, "of the source (default: as many)")
	flag.Float64Var(&s.up, "up", 100, "Mbit/s of every uplink, in the growth table")
	flag.Float64Var(&s.down, "down", 100, "Mbit/s of every downlink, in the growth table")
	flag.DurationVar(&s.delay, "delay", 250*time.Microsecond, "from each host to the middle of the net, in the growth table")
	flag.IntVar(&s.frame, "frame", 256, "KiB of the largest frame")
	flag.IntVar(&s.buffer, "buffer", 512, "KiB that a receiver may leave unread, beyond what the path holds")
	flag.IntVar(&s.sendBuffer, "send-buffer", 0, "KiB that a socket takes before they can leave")
	flag.Float64Var(&s.overhead, "overhead", 1, "bytes on the wire for one of payload (1.046 with Ethernet, IP, TCP and TLS)")
	flag.BoolVar(&s.inBand, "in-band", false, "let messages wait for the frames of their connection before them")
	flag.BoolVar(&s.busy, "busy", false, "print below each table how busy the uplinks were, by twentieths of the bound, with the last seed")
	flag.StringVar(&s.profile, "cpuprofile", "", "write a CPU profile to this file")
	flag.Parse()
	return s
}

func run() error {
	s := flags()
	if s.seeds < 1 {
		return fmt.Errorf("-seeds: %d is too few", s.seeds)
	}
	if s.profile != "" {
		f, err := os.Create(s.profile)
		if err != nil {
			return fmt.Errorf("cpu profile: %w", err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return fmt.Errorf("cpu profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	debug.SetGCPercent(300) // most of the heap lives as long as the swarm
	runtime.LockOSThread()  // whose time is measured
	s.reading = reading()
	began := time.Now()
	if s.growth != "" {
		if err := s.grow(); err != nil {
			return err
		}
	}
	if s.receivers > 0 {
		s.scenarios()
	}
	wall := time.Since(began).Seconds()
	fmt.Printf("%d steps in %.1f s: %.0f a second, with all that happens between them\n", s.steps, wall, float64(s.steps)/wall)
	return nil
}

// grow prints the table of swarms of several sizes.
func (s *settings) grow() error {
	fmt.Printf("%d chunks of %d bytes, %g/%g Mbit/s up/down, %d neighbours, seeds %d to %d\n\n",
		s.chunks, s.size, s.up, s.down, s.neighbours, s.seed, s.seed+uint64(s.seeds)-1)
	header("receivers")
	for _, field := range strings.Split(s.growth, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 1 {
			return fmt.Errorf("-growth: %q is no number of receivers", field)
		}
		s.play(strconv.Itoa(n), func(uint64) sim.Scenario { return s.swarm(n) })
	}
	s.endTable()
	return nil
}

// swarm is the one of the growth table.
func (s *settings) swarm(receivers int) sim.Scenario {
	sc := sim.Swarm(receivers)
	sc.Chunks, sc.Size = s.chunks, s.size
	for i := range sc.Hosts {
		sc.Hosts[i].Up, sc.Hosts[i].Down, sc.Hosts[i].Delay = s.up*sim.Mbit, s.down*sim.Mbit, s.delay
	}
	return sc
}

func (s *settings) scenarios() {
	fmt.Printf("%d receivers, seeds %d to %d\n\n", s.receivers, s.seed, s.seed+uint64(s.seeds)-1)
	header("scenario")
	for i, sc := range sim.Standard(s.receivers, s.seed) {
		if strings.Contains(sc.Name, s.only) {
			s.play(sc.Name, func(seed uint64) sim.Scenario { return sim.Standard(s.receivers, seed)[i] })
		}
	}
	s.endTable()
}

// endTable prints what belongs below a table.
func (s *settings) endTable() {
	fmt.Println()
	if s.busy {
		fmt.Println("Uplinks busy, in %, by twentieths of the bound:\n\n" + strings.Join(s.used, "\n") + "\n")
	}
	s.used = nil
}

// shares lists shares in percent, up to the last that is not zero.
func shares(list []float64) string {
	var text, zeros string
	for _, share := range list {
		zeros += fmt.Sprintf(" %.0f", 100*share)
		if share > 0 {
			text, zeros = text+zeros, ""
		}
	}
	return text
}

func header(first string) {
	fmt.Printf("| %s | p50 | p99 | last | duplicates | sources sent | messages a chunk | steps | µs a step | CPU |\n", first)
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
}

// play runs one scenario with each seed, and prints a line of means. With several seeds, the worst last receiver stands
// beside the mean.
func (s *settings) play(name string, scenario func(seed uint64) sim.Scenario) {
	var mean sim.Result
	var worst float64
	used := processTime()
	for i := range s.seeds {
		sc := scenario(s.seed + uint64(i))
		s.apply(&sc, s.seed+uint64(i))
		r := sim.Run(sc)
		worst = max(worst, r.Last)
		mean = add(mean, r)
	}
	used = processTime() - used
	s.used = append(s.used, name+":"+shares(mean.Busy[:]))
	n := float64(s.seeds)
	if mean.Unfinished > 0 {
		name += fmt.Sprintf(" (**%d of %d never done**)", mean.Unfinished, mean.Receivers)
	}
	if mean.WronglyBanned > 0 {
		name += fmt.Sprintf(" (**%d honest banned**)", mean.WronglyBanned)
	}
	last := fmt.Sprintf("%.3f", mean.Last/n)
	if s.seeds > 1 {
		last += fmt.Sprintf(" (%.3f)", worst)
	}
	fmt.Printf("| %s | %.3f | %.3f | %s | %.2f %% | %.2f | %.0f | %d | %.2f | %.1f s |\n", name, mean.P50/n, mean.P99/n, last,
		100*mean.Duplicates/n, mean.SourceSent/n, mean.MessagesPerChunk/n, mean.Steps,
		float64((mean.StepTime/time.Duration(s.seeds)-s.reading).Nanoseconds())/1e3, used.Seconds())
	s.steps += mean.Steps
}

// apply sets what the flags say about every scenario.
func (s *settings) apply(sc *sim.Scenario, seed uint64) {
	sc.Seed, sc.Neighbours, sc.SourceNeighbours = seed, s.neighbours, s.ofSource
	sc.Frame, sc.Buffer, sc.Overhead, sc.InBand = s.frame<<10, s.buffer<<10, s.overhead, s.inBand
	sc.SendBuffer = s.sendBuffer << 10
	sc.Stopwatch = threadTime
}

// reading is what looking at the stopwatch adds to what it measures.
func reading() time.Duration {
	const times = 10_000
	var sum time.Duration
	for range times {
		began := threadTime()
		sum += threadTime() - began
	}
	return sum / times
}

// add sums up what the tables show.
func add(a, b sim.Result) sim.Result {
	a.Receivers += b.Receivers
	a.Unfinished += b.Unfinished
	a.WronglyBanned += b.WronglyBanned
	a.P50 += b.P50
	a.P99 += b.P99
	a.Last += b.Last
	a.Duplicates += b.Duplicates
	a.SourceSent += b.SourceSent
	a.MessagesPerChunk += b.MessagesPerChunk
	a.Steps += b.Steps
	a.StepTime += b.StepTime
	a.Busy = b.Busy
	return a
}
