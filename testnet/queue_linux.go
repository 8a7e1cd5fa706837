package testnet

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A shaped queue lets a burst pass at once and holds what takes queueTime to send; a small switch has about as much.
const (
	leastBurst = 64 << 10 // bytes: less would cut up what TCP hands down in one piece
	queueTime  = 30 * time.Millisecond
)

// heldBack is how many packets netem holds at most; it is meant to be as many as a line holds.
const heldBack = mostUnderWay / usualMTU

// queue has what leaves a device wait for a delay, and lets no more than rate bytes a second out, headers included. 0 stands for
// neither. A delay takes netem.
func (s *space) queue(name string, rate float64, delay time.Duration) error {
	l, err := s.device(name)
	if err != nil {
		return err
	}
	var want []netlink.Qdisc
	parent := uint32(netlink.HANDLE_ROOT)
	if delay > 0 {
		want = append(want, held(l, parent, delay))
		parent = netlink.MakeHandle(heldMajor, 1)
	}
	if rate > 0 {
		want = append(want, narrow(l, parent, rate))
	}
	if err := s.unqueue(l, want); err != nil {
		return err
	}
	for _, q := range want {
		if err := s.links.QdiscReplace(q); err != nil {
			return fmt.Errorf("shape %s with %s: %w%s", name, q.Type(), err, lackOf(err, "sch_"+q.Type()))
		}
	}
	return nil
}

// Numbers of the queues on a device, as the kernel has them.
const (
	heldMajor   = 1
	narrowMajor = 2
)

// held is a queue of netem, out of which packets come after the delay.
func held(l netlink.Link, parent uint32, delay time.Duration) netlink.Qdisc {
	return netlink.NewNetem(
		netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(heldMajor, 0), Parent: parent},
		netlink.NetemQdiscAttrs{Latency: uint32(delay.Microseconds()), Limit: heldBack},
	)
}

// narrow is a token bucket.
func narrow(l netlink.Link, parent uint32, rate float64) netlink.Qdisc {
	burst := max(leastBurst, uint32(rate/1000)) // a timer's accuracy of 1 ms must not cost rate
	return &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(narrowMajor, 0), Parent: parent},
		Rate:       uint64(rate),
		Limit:      uint32(min(rate*queueTime.Seconds()+float64(burst), math.MaxUint32)),
		Buffer:     netlink.Xmittime(uint64(rate), burst),
	}
}

// unqueue takes away what queue made, unless it is of the kinds that are wanted, so that these only change.
func (s *space) unqueue(l netlink.Link, want []netlink.Qdisc) error {
	all, err := s.links.QdiscList(l)
	if err != nil {
		return fmt.Errorf("list the queues of %s: %w", l.Attrs().Name, err)
	}
	var root netlink.Qdisc
	have := 0
	for _, q := range all {
		if major, _ := netlink.MajorMinor(q.Attrs().Handle); major != heldMajor && major != narrowMajor {
			continue
		}
		have++
		if q.Attrs().Parent == netlink.HANDLE_ROOT {
			root = q
		}
	}
	if root == nil || have == len(want) && root.Type() == want[0].Type() {
		return nil
	}
	if err := s.links.QdiscDel(root); err != nil {
		return fmt.Errorf("take the queue of %s away: %w", l.Attrs().Name, err)
	}
	return nil
}

// hasNetem reports whether this kernel can hold packets back by itself.
func (s *space) hasNetem() bool {
	return s.queue("lo", 0, time.Second) == nil && s.queue("lo", 0, 0) == nil
}

// lackOf explains an error of the kernel that means that a part of it is not there.
func lackOf(err error, part string) string {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		return ": this kernel has no " + part
	}
	return ""
}
