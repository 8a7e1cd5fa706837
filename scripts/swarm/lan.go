//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// mbit is a rate in bits a second.
type mbit int64

const (
	megabit mbit = 1e6
	bridge       = "swarm"
)

// bytes is how many bytes a second that is.
func (r mbit) bytes() float64 { return float64(r) / 8 }

func (r mbit) String() string { return fmt.Sprintf("%d Mbit/s", r/megabit) }

// A shaped queue lets a burst pass at once and holds what takes this long to send; a small switch has about as much.
const (
	leastBurst = 64 << 10 // bytes: less would cut up what TCP hands down in one piece
	queueMS    = 30
)

// shape is the end of tc's command line that limits what leaves a device.
func shape(rate mbit, queueMS int) []string {
	burst := max(leastBurst, int(rate.bytes()/1000)) // a timer's accuracy of 1 ms must not cost rate
	return []string{
		"root", "tbf", "rate", fmt.Sprintf("%dbit", rate), "burst", fmt.Sprint(burst), "latency", fmt.Sprintf("%dms", queueMS),
	}
}

// lan is a bridge, in the namespace of this process, and the machines on it.
type lan struct {
	machines []*machine
	ways     []*os.File // where packets of a long way come out
}

// machine is a network namespace with one interface.
type machine struct {
	ns   *os.File
	ip   string
	dev  string // its interface
	port string // the other end of its cable, on the bridge; empty if it is not on one
	up   mbit
	down mbit
}

func newLAN() (*lan, error) {
	n := &lan{}
	for _, args := range []string{"link set lo up", "link add " + bridge + " type bridge", "link set " + bridge + " up"} {
		if err := tool("ip", strings.Fields(args)...); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// close removes everything. Processes in the machines must have ended, or their namespaces stay until they do.
func (n *lan) close() error {
	var errs error
	for _, f := range n.ways {
		errs = errors.Join(errs, f.Close())
	}
	for _, m := range n.machines {
		if m.port != "" {
			errs = errors.Join(errs, tool("ip", "link", "del", m.port))
		}
		errs = errors.Join(errs, m.ns.Close())
	}
	return errors.Join(errs, tool("ip", "link", "del", bridge))
}

// bare adds a machine without an interface.
func (n *lan) bare() (*machine, error) {
	m := &machine{}
	err := onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		m.ns, err = os.Open(threadNS())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("a network namespace: %w", err)
	}
	n.machines = append(n.machines, m)
	return m, m.tool("ip", "link", "set", "lo", "up")
}

// plug adds a machine with a cable to the bridge that carries up and down bits a second.
func (n *lan) plug(up, down mbit) (*machine, error) {
	m, err := n.bare()
	if err != nil {
		return nil, err
	}
	m.ip, m.dev, m.port = fmt.Sprintf("10.77.0.%d", len(n.machines)), "eth0", fmt.Sprintf("port%d", len(n.machines))
	m.up, m.down = up, down
	// The cable's far end is made here and moved by the descriptor's path: ip knows namespaces by path or process.
	far := m.port + "far"
	path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), m.ns.Fd())
	return m, errors.Join(
		tool("ip", "link", "add", m.port, "type", "veth", "peer", "name", far),
		tool("ip", "link", "set", far, "netns", path, "name", m.dev),
		tool("ip", "link", "set", m.port, "master", bridge, "up"),
		m.tool("ip", "addr", "add", m.ip+"/24", "dev", m.dev),
		m.tool("ip", "link", "set", m.dev, "up"),
		m.tool("tc", append([]string{"qdisc", "add", "dev", m.dev}, shape(up, queueMS)...)...),
		tool("tc", append([]string{"qdisc", "add", "dev", m.port}, shape(down, queueMS)...)...),
	)
}

// onThread runs f on a thread that is thrown away afterwards, so that f may change the thread's namespace.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		done <- f()
	}()
	return <-done
}

func threadNS() string { return fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid()) }

// in runs f on a thread inside the machine: sockets that f opens and processes that it starts belong there.
func (m *machine) in(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(m.ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

// start starts a prepared command on the machine.
func (m *machine) start(cmd *exec.Cmd) error { return m.in(cmd.Start) }

func (m *machine) tool(name string, args ...string) error {
	return m.in(func() error { return tool(name, args...) })
}

func tool(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// counters are what has left a shaped queue since it was made.
type counters struct {
	Kind    string `json:"kind"`
	Bytes   int64  `json:"bytes"`   // with all headers, as on a wire
	Packets int64  `json:"packets"` // as on a wire
	Drops   int64  `json:"drops"`
}

// headers are the bytes around the payload of a TCP segment: Ethernet 14, IPv4 20, TCP with timestamps 32.
const headers = 66

// payload is the content of the TCP segments among what was sent, in bytes.
func (c counters) payload() int64 { return c.Bytes - headers*c.Packets }

// sent is what the machine has sent; received, what was sent to it.
func (m *machine) sent() (c counters, err error) {
	err = m.in(func() (err error) { c, err = queueCounters(m.dev); return err })
	return c, err
}

func (m *machine) received() (counters, error) { return queueCounters(m.port) }

func queueCounters(dev string) (counters, error) {
	out, err := exec.Command("tc", "-s", "-j", "qdisc", "show", "dev", dev).Output()
	if err != nil {
		return counters{}, fmt.Errorf("tc -s qdisc show dev %s: %w", dev, err)
	}
	return parseCounters(out)
}

func parseCounters(out []byte) (counters, error) {
	var all []counters
	if err := json.Unmarshal(out, &all); err != nil {
		return counters{}, fmt.Errorf("the counters that tc printed: %w", err)
	}
	for _, c := range all {
		if c.Kind == "tbf" {
			return c, nil
		}
	}
	return counters{}, errors.New("the link is not shaped")
}
