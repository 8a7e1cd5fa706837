//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// mtu is the length of the longest packet on a long way, in bytes.
const mtu = 1500

// mostUnderWay is how many packets a long way holds in each direction: four times what fills 100 Mbit/s for 50 ms. More than
// that is lost, as by any router.
const mostUnderWay = 2048

// packet is one on its way.
type packet struct {
	data []byte
	due  time.Time
}

// apart adds two machines with a router between them that hands on each packet after the delay, and otherwise as fast as the
// machines' own shaped queues let them come. It stands in for netem, which not every kernel has.
func (n *lan) apart(rate mbit, delay time.Duration) (x, y *machine, err error) {
	var ends [2]*os.File
	var machines [2]*machine
	for i := range ends {
		m, err := n.bare()
		if err != nil {
			return nil, nil, err
		}
		machines[i] = m
		m.ip, m.dev, m.up, m.down = fmt.Sprintf("10.78.0.%d", i+1), "far0", rate, rate
		if ends[i], err = m.tun(); err != nil {
			return nil, nil, err
		}
		n.ways = append(n.ways, ends[i])
		err = errors.Join(
			m.tool("ip", "link", "set", m.dev, "mtu", fmt.Sprint(mtu), "txqueuelen", "1000"),
			m.tool("ip", "addr", "add", m.ip, "peer", fmt.Sprintf("10.78.0.%d", 2-i), "dev", m.dev),
			m.tool("ip", "link", "set", m.dev, "up"),
			m.tool("tc", append([]string{"qdisc", "add", "dev", m.dev}, shape(rate, farQueue)...)...),
		)
		if err != nil {
			return nil, nil, err
		}
	}
	go carry(ends[0], ends[1], delay)
	go carry(ends[1], ends[0], delay)
	return machines[0], machines[1], nil
}

// tun makes the machine's interface, and returns the end at which its packets come out. Closing that ends whoever carries
// them.
func (m *machine) tun() (end *os.File, err error) {
	err = m.in(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("open /dev/net/tun: %w", err)
		}
		request, err := unix.NewIfreq(m.dev)
		if err == nil {
			request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("make the interface %s: %w", m.dev, err), unix.Close(fd))
		}
		end = os.NewFile(uintptr(fd), "tun")
		return nil
	})
	return end, err
}

// carry hands packets on, each after the delay, until one of the ends is closed.
func carry(from io.Reader, to io.Writer, delay time.Duration) {
	under := make(chan packet, mostUnderWay)
	defer close(under)
	go func() {
		for p := range under {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); errors.Is(err, os.ErrClosed) {
				return
			} // any other error: the far end is not up, or its queue is full, and the packet is lost
		}
	}()
	for {
		data := make([]byte, mtu)
		n, err := from.Read(data)
		if err != nil {
			return
		}
		select {
		case under <- packet{data[:n], time.Now().Add(delay)}:
		default: // lost
		}
	}
}
