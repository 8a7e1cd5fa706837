package testnet

import (
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// frame is an Ethernet frame on its way.
type frame struct {
	data  *[longestFrame]byte
	size  int // bytes
	to    *os.File
	due   time.Time
	under *atomic.Int64 // bytes under way in its direction
	turn  uint64        // among those that are due at the same time
}

// pacer hands on the frames of all lines when they are due. It waits in the kernel for each of them, because timers of Go are
// late by up to a millisecond in a process that does nothing else.
type pacer struct {
	carriers errgroup.Group // one for each direction of a line, and run
	frames   sync.Pool      // of buffers not in use
	alarm    *os.File       // an eventfd: what run waits for is no longer what comes first

	mu     sync.Mutex // guards what follows
	due    schedule
	turns  uint64
	closed bool
}

func newPacer() (*pacer, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make an eventfd: %w", err)
	}
	p := &pacer{alarm: os.NewFile(uintptr(fd), "alarm")}
	p.frames.New = func() any { return new([longestFrame]byte) }
	p.carriers.Go(func() error { return p.run(fd) })
	return p, nil
}

// close ends handing on, and waits until the carriers of all lines have ended, which have to be closed before.
func (p *pacer) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := errors.Join(p.ring(), p.carriers.Wait())
	return errors.Join(err, p.alarm.Close())
}

func (p *pacer) ring() error {
	_, err := p.alarm.Write(binary.NativeEndian.AppendUint64(nil, 1))
	if errors.Is(err, unix.EAGAIN) {
		return nil // it has rung often enough
	}
	return err
}

// hand takes a frame over, with its buffer.
func (p *pacer) hand(f frame) error {
	p.mu.Lock()
	p.turns++
	f.turn = p.turns
	heap.Push(&p.due, f)
	first := p.due[0].turn == f.turn
	p.mu.Unlock()
	if !first {
		return nil
	}
	return p.ring()
}

func (p *pacer) run(alarm int) error {
	poll := []unix.PollFd{{Fd: int32(alarm), Events: unix.POLLIN}}
	var rung [8]byte
	for {
		wait, open := p.handOn()
		if !open {
			return nil
		}
		_, err := unix.Ppoll(poll, wait, nil)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for the next packet: %w", err)
		}
		if poll[0].Revents != 0 {
			_, _ = unix.Read(alarm, rung[:]) // it has rung, so there is something to read
		}
	}
}

// handOn hands on what is due, and returns how long it is until more will be; nil: nothing is under way.
func (p *pacer) handOn() (wait *unix.Timespec, open bool) {
	for {
		p.mu.Lock()
		if p.closed || len(p.due) == 0 {
			open := !p.closed
			p.mu.Unlock()
			return nil, open
		}
		if left := time.Until(p.due[0].due); left > 0 {
			p.mu.Unlock()
			t := unix.NsecToTimespec(int64(left))
			return &t, true
		}
		f := heap.Pop(&p.due).(frame)
		p.mu.Unlock()
		_, _ = f.to.Write(f.data[:f.size]) // an error is that of a line that was closed, or of a full queue: the packet is lost
		f.under.Add(-int64(f.size))
		p.frames.Put(f.data)
	}
}

// schedule is a heap of frames: what is due first, and of those what was handed in first.
type schedule []frame

func (s schedule) Len() int      { return len(s) }
func (s schedule) Swap(i, j int) { s[i], s[j] = s[j], s[i] }

func (s schedule) Less(i, j int) bool {
	if c := s[i].due.Compare(s[j].due); c != 0 {
		return c < 0
	}
	return s[i].turn < s[j].turn
}

func (s *schedule) Push(x any) { *s = append(*s, x.(frame)) }

func (s *schedule) Pop() any {
	last := len(*s) - 1
	f := (*s)[last]
	(*s)[last] = frame{} // lets go of what it points to
	*s = (*s)[:last]
	return f
}
