package testnet

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// Lack returns why there can be no Lab on this machine, in a few words, or nil.
func Lack() error {
	if os.Getuid() != 0 {
		return errors.New("network namespaces need root")
	}
	for _, tool := range []string{"ip", "nft", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("there is no %s", tool)
		}
	}
	return nil
}

// holdSeconds is how long a namespace lives at most, if whoever made it is killed.
const holdSeconds = 900

// maxSites keeps the addresses of a lab in 11.0.0.0/16.
const maxSites = 250

// Lab is an internet in network namespaces. Each site, which is a machine or a router, has a link of its own to the core, with
// a public address: 11.0.N.2, for no test needs a neighbour that is one by accident. It is not for concurrent use.
type Lab struct {
	core     *Machine
	machines []*Machine
	sites    int
}

// NewLab makes an empty internet. Close must be called.
func NewLab() (*Lab, error) {
	l := &Lab{}
	core, err := l.machine()
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if err := core.forward(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	l.core = core
	return l, nil
}

// Close ends all namespaces and with them their links. Programs that still run in them lose their network.
func (l *Lab) Close() error {
	var failed error
	for _, m := range l.machines {
		if err := m.hold.Process.Kill(); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		_ = m.hold.Wait() // ends with the signal
	}
	l.machines = nil
	return failed
}

// Machine is one namespace with an address.
type Machine struct {
	Addr netip.Addr

	hold *exec.Cmd // the namespace lives as long as this process
	site int       // of its link to the core; 0 if it has none
	lab  *Lab
}

func (l *Lab) machine() (*Machine, error) {
	hold := exec.Command("sleep", strconv.Itoa(holdSeconds))
	hold.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := hold.Start(); err != nil {
		return nil, fmt.Errorf("a network namespace: %w", err)
	}
	m := &Machine{hold: hold, lab: l}
	l.machines = append(l.machines, m)
	return m, m.run("ip", "link", "set", "lo", "up")
}

// Public adds a machine with a public address.
func (l *Lab) Public() (*Machine, error) {
	m, err := l.machine()
	if err != nil {
		return nil, err
	}
	return m, l.connect(m)
}

// connect gives a machine a link to the core, called wan.
func (l *Lab) connect(m *Machine) error {
	if l.sites == maxSites {
		return fmt.Errorf("a lab has no more than %d sites", maxSites)
	}
	l.sites++
	m.site = l.sites
	m.Addr = netip.AddrFrom4([4]byte{11, 0, byte(m.site), 2})
	port, gateway := m.port(), fmt.Sprintf("11.0.%d.1", m.site)
	return errors.Join(
		l.core.run("ip", "link", "add", port, "type", "veth", "peer", "name", "wan", "netns", strconv.Itoa(m.hold.Process.Pid)),
		l.core.run("ip", "addr", "add", gateway+"/24", "dev", port),
		l.core.run("ip", "link", "set", port, "up"),
		m.run("ip", "addr", "add", m.Addr.String()+"/24", "dev", "wan"),
		m.run("ip", "link", "set", "wan", "up"),
		m.run("ip", "route", "add", "default", "via", gateway),
	)
}

// port is the core's end of a site's link.
func (m *Machine) port() string { return fmt.Sprintf("site%d", m.site) }

// Command prepares a program to run on this machine.
func (m *Machine) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{fmt.Sprintf("--net=/proc/%d/ns/net", m.hold.Process.Pid), "--", name}, args...)...)
}

// Output runs a program on this machine and returns its standard output.
func (m *Machine) Output(name string, args ...string) ([]byte, error) {
	cmd := m.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return out, nil
}

func (m *Machine) run(name string, args ...string) error {
	_, err := m.Output(name, args...)
	return err
}

// rules loads a ruleset of nftables.
func (m *Machine) rules(text string) error {
	cmd := m.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w\n%s", err, out)
	}
	return nil
}

func (m *Machine) forward() error {
	return m.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
}

// SetMTU makes the middle of the way to this machine narrower than both its ends, which believe in 1500 bytes. A silent core
// drops what is too long, here and elsewhere; others say so, as they ought to.
func (m *Machine) SetMTU(bytes int, silent bool) error {
	if err := m.lab.core.run("ip", "link", "set", m.port(), "mtu", strconv.Itoa(bytes)); err != nil || !silent {
		return err
	}
	return m.lab.core.rules(`table ip mute {
	chain output {
		type filter hook output priority 0
		icmp type destination-unreachable drop
	}
}`)
}

// Received returns how many bytes have come over a machine's link to the core.
func (m *Machine) Received() (int64, error) {
	out, err := m.Output("cat", "/proc/net/dev")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(out)) {
		name, counts, ok := strings.Cut(strings.TrimSpace(line), ":")
		if fields := strings.Fields(counts); ok && name == "wan" && len(fields) > 0 {
			return strconv.ParseInt(fields[0], 10, 64)
		}
	}
	return 0, errors.New("this machine has no link to the core")
}
