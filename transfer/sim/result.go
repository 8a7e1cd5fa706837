package sim

import (
	"slices"
	"time"
)

// Result is what came of a scenario. Times are multiples of the bound, counted for each receiver from when it came.
type Result struct {
	Name           string
	Receivers      int     // honest ones that do not leave for good
	Unfinished     int     // of them, those that never had everything
	P50, P99, Last float64 // of the receivers that finished
	Duplicates     float64 // bytes that came and were of no use to an honest host, as a share of those that were
	SourceSent     float64 // bytes that the sources sent, in files
	WronglyBanned  int     // by honest hosts

	MessagesPerChunk float64 // without data, for each chunk that was right and new

	// Busy is how much of all uplinks was used in each slice of time, as a share; SlicesOfBound of them make up the bound. The
	// uplinks are those that the bound counts.
	Busy [busySlices]float64

	Bound     time.Duration
	Took      time.Duration // virtual
	Steps     int64         // of all engines
	Messages  int64         // between them, without data
	Entries   int64         // of the queue
	StepTime  time.Duration // mean, if there was a stopwatch
	Sent      int64         // bytes
	Received  int64
	Dropped   int64 // left, and met a closed connection
	UnderWay  int64 // left, and were not read at the end
	Delivered int64 // bytes of chunks that were right and new
	Spoilt    int64 // bytes of chunks that were wrong
	CutOff    int64 // bytes of chunks whose sender or receiver left before they were whole
}

// SlicesOfBound is how finely [Result.Busy] looks.
const SlicesOfBound = 20

const busySlices = 4 * SlicesOfBound

// Bound returns the least time in which every honest receiver could have everything.
func (sc Scenario) Bound() time.Duration {
	file := float64(sc.Chunks) * float64(orDefault(sc.Size, defaultSize)) * orDefault(sc.Overhead, 1)
	sources, others, receivers, slowest := sc.capacity()
	if receivers == 0 || sources == 0 {
		return 0
	}
	seconds := max(file/sources, file/slowest, receivers*file/(sources+others))
	return time.Duration(seconds * float64(time.Second))
}

// capacity returns what the bound counts: the uplinks of sources and receivers, how many receivers there are, and the slowest
// of their downlinks.
func (sc Scenario) capacity() (sources, others, receivers, slowest float64) {
	for _, h := range sc.Hosts {
		up, down := orDefault(h.Up, defaultRate), orDefault(h.Down, defaultRate)
		switch {
		case h.Role == Source:
			sources += up
		case h.counts():
			receivers++
			others += up
			if slowest == 0 || down < slowest {
				slowest = down
			}
		}
	}
	return sources, others, receivers, slowest
}

func (n *net) result() Result {
	t := &n.tally
	r := Result{
		Name: n.sc.Name, Bound: n.sc.Bound(), Took: time.Duration(n.now),
		Steps: t.steps, Messages: t.messages, Entries: t.entries,
		Sent: t.sent, Received: t.received, Dropped: t.dropped, Delivered: t.stored, Spoilt: t.bad,
		CutOff: t.lost,
	}
	for i := range n.frames.all {
		if f := &n.frames.all[i]; f.used && f.left {
			r.UnderWay += int64(f.bytes)
		}
	}
	sources, others, _, _ := n.sc.capacity()
	for i, bytes := range t.busy {
		r.Busy[i] = float64(bytes) * n.sc.Overhead / ((sources + others) * float64(n.slice) / 1e9)
	}
	if t.timed > 0 {
		r.StepTime = t.took / time.Duration(t.timed)
	}
	var times []float64
	var partial int64
	for i := range n.hosts {
		h := &n.hosts[i]
		if h.Role == Source {
			r.SourceSent += float64(h.sent) / float64(n.total)
		}
		if h.Role == Receiver {
			r.WronglyBanned += h.wronged
		}
		if !h.counts() {
			continue
		}
		r.Receivers++
		if h.done == 0 {
			r.Unfinished++
			continue
		}
		times = append(times, float64(h.done-h.joined)/float64(r.Bound))
	}
	for i := range n.links {
		partial += n.links[i].partial
	}
	if t.stored > 0 {
		r.MessagesPerChunk = float64(t.messages) / float64(t.stored) * float64(n.sc.Size)
		r.Duplicates = float64(t.received-t.stored-t.bad-t.lost-partial) / float64(t.stored)
	}
	slices.Sort(times)
	r.P50, r.P99, r.Last = percentile(times, 0.50), percentile(times, 0.99), percentile(times, 1)
	return r
}

// percentile returns the least of sorted values that so large a share does not exceed.
func percentile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(share*float64(len(sorted)) + 0.999999)
	return sorted[min(max(rank, 1), len(sorted))-1]
}
