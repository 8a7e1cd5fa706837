package testnet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Limits of a line.
const (
	longestFrame = 9000 + 18  // bytes: the longest packet of a Link, with its Ethernet header and a VLAN's
	mostUnderWay = 64 << 20   // bytes in each direction: 1 Gbit/s for half a second. More than that is lost, as by any router
	tapQueue     = 4096       // packets that wait to be taken in
	lineSeed     = 0x5ea11e5f // of the chance in jitter
)

// line joins two devices, made with it, by hand: each frame that leaves one comes in at the other, after the delay. It stands in
// for netem, which not every kernel has. Frames keep their order.
type line struct {
	pace *pacer
	ends [2]*os.File

	delay, jitter atomic.Int64 // nanoseconds
}

// lay makes two devices here with a line between them, which ends with close.
func (p *pacer) lay(s *space, names [2]string) (*line, error) {
	l := &line{pace: p}
	for i, name := range names {
		end, err := s.tap(name)
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		l.ends[i] = end
	}
	for i := range l.ends {
		p.carriers.Go(func() error { return l.carry(l.ends[i], l.ends[1-i], rand.New(rand.NewPCG(lineSeed, uint64(i)))) })
	}
	return l, nil
}

func (l *line) close() (err error) {
	for _, end := range l.ends {
		if end != nil {
			err = errors.Join(err, end.Close())
		}
	}
	return err
}

// tap makes a device whose frames a program takes and gives. It is there as long as the file is open.
func (s *space) tap(name string) (end *os.File, err error) {
	err = s.in(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("open /dev/net/tun: %w", err)
		}
		request, err := unix.NewIfreq(name)
		if err == nil {
			request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("make the device %s: %w", name, err), unix.Close(fd))
		}
		end = os.NewFile(uintptr(fd), name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	d, err := s.device(name)
	if err == nil {
		err = errors.Join(s.links.LinkSetTxQLen(d, tapQueue), s.links.LinkSetMTU(d, longestFrame-18), s.links.LinkSetUp(d))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up the device %s: %w", name, err), end.Close())
	}
	return end, nil
}

// set changes how long frames take that come in from now on.
func (l *line) set(delay, jitter time.Duration) {
	l.delay.Store(int64(delay))
	l.jitter.Store(int64(jitter))
}

// carry takes frames from one end until it is closed, and has them handed to the other when they are due.
func (l *line) carry(from, to *os.File, chance *rand.Rand) error {
	var last time.Time // due time of the frame before
	var under atomic.Int64
	for {
		data := l.pace.frames.Get().(*[longestFrame]byte)
		n, err := from.Read(data[:])
		if err != nil {
			l.pace.frames.Put(data)
			if errors.Is(err, os.ErrClosed) || errors.Is(err, unix.EBADFD) {
				return nil
			}
			return fmt.Errorf("take a packet: %w", err)
		}
		if under.Load()+int64(n) > mostUnderWay {
			l.pace.frames.Put(data)
			continue // lost
		}
		under.Add(int64(n))
		due := time.Now().Add(time.Duration(l.delay.Load()))
		if j := l.jitter.Load(); j > 0 {
			due = due.Add(time.Duration(chance.Int64N(2*j+1) - j))
		}
		if due.Before(last) {
			due = last
		}
		last = due
		if err := l.pace.hand(frame{data: data, size: n, to: to, due: due, under: &under}); err != nil {
			return err
		}
	}
}
