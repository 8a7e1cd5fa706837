package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

var (
	// ErrNoNode means that nobody listens on the socket.
	ErrNoNode = errors.New("no node answers")

	// ErrInUse means that a living process listens on the socket.
	ErrInUse = errors.New("another node answers on the control socket")

	// ErrRefused means that the other end of the socket belongs to another user.
	ErrRefused = errors.New("the socket belongs to another user")
)

// socket is a listener that lets in only this user, and not too many at a time.
type socket struct {
	*net.UnixListener
	path string
	mine os.FileInfo // the socket as it was made, to remove no other
	most int
	log  *slog.Logger
	open atomic.Int64
	once sync.Once
}

// listen makes the socket, 0600 from the moment that it can be seen.
func listen(path string) (*socket, error) {
	if err := MakePrivate(filepath.Dir(path)); err != nil {
		return nil, err
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().IsRegular() || info.IsDir():
		return nil, fmt.Errorf("%s is in the way of the control socket", path)
	default:
		if c, err := connect(path); err == nil {
			c.Close()
			return nil, fmt.Errorf("%w: %s", ErrInUse, path)
		} else if !errors.Is(err, ErrNoNode) {
			return nil, err
		}
	}
	l, err := bind(path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	mine, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &socket{UnixListener: l, path: path, mine: mine}, nil
}

// Close stops listening and removes the socket, unless somebody else has put his own there.
func (s *socket) Close() error {
	err := error(nil)
	s.once.Do(func() {
		if now, statErr := os.Lstat(s.path); statErr == nil && os.SameFile(s.mine, now) {
			err = os.Remove(s.path)
		}
		err = errors.Join(s.UnixListener.Close(), err)
	})
	return err
}

// Accept returns the next connection of this user; all others are closed.
func (s *socket) Accept() (net.Conn, error) {
	for {
		c, err := s.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if err := sameUser(c); err != nil {
			s.log.Warn("control connection refused", "err", err)
			c.Close()
			continue
		}
		if s.open.Add(1) > int64(s.most) {
			s.open.Add(-1)
			c.Close()
			continue
		}
		return &counted{UnixConn: c, open: &s.open}, nil
	}
}

// counted gives its place back when it is closed.
type counted struct {
	*net.UnixConn
	open *atomic.Int64
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.UnixConn.Close()
}

// connect reaches a living server on the socket, and returns ErrNoNode when there is none.
func connect(path string) (net.Conn, error) {
	for try := 0; ; try++ {
		c, err := dialSocket(path)
		switch {
		case err == nil:
			if err := sameUser(c); err != nil {
				c.Close()
				return nil, err
			}
			return c, nil
		case nobody(err):
			return nil, fmt.Errorf("%w: %w", ErrNoNode, err)
		case crowded(err) && try < 10: // its queue is full, so somebody is there
			time.Sleep(20 * time.Millisecond)
		default:
			return nil, fmt.Errorf("control socket: %w", err)
		}
	}
}
