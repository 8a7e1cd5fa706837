package testnet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// suitsContainer says why a container cannot have a link, or returns nil.
func suitsContainer(l Link) error {
	switch err := l.check(); {
	case err != nil:
		return err
	case l == Link{}:
		return nil
	case l.Jitter > 0 || l.Loss > 0:
		return fmt.Errorf("%w: nothing between containers makes a jitter or a loss: choose namespaces (up --netns, run --on namespaces)", ErrGround)
	case os.Getuid() != 0:
		return fmt.Errorf("%w: the links of containers can be changed by root only: run it with sudo, or without links", ErrGround)
	case l.Delay == 0:
		return nil
	}
	s, err := newSpace()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGround, err)
	}
	defer s.close()
	if !s.hasNetem() {
		return fmt.Errorf("%w: a delay between containers takes sch_netem, which this kernel does not have: choose namespaces (up --netns, run --on namespaces)", ErrGround)
	}
	return nil
}

// shape implements linked, at both ends of each link between the container and a bridge of Docker's.
func (g *containers) shape(n *Node, l Link) error {
	if err := suitsContainer(l); err != nil {
		return err
	}
	if !n.alive() {
		return nil // the link is made when it starts
	}
	inside, err := spaceAt(spaceOf(n.process))
	if err != nil {
		return err
	}
	defer inside.close()
	outside, err := spaceAt(netns.Get())
	if err != nil {
		return err
	}
	defer outside.close()
	devices, err := inside.links.LinkList()
	if err != nil {
		return fmt.Errorf("list the links of a container: %w", err)
	}
	for _, d := range devices {
		if _, ok := d.(*netlink.Veth); ok {
			err = errors.Join(err, bendVeth(inside, outside, d, l))
		}
	}
	return err
}

// spaceOf opens the namespace that a process is in. It cannot be seen for the moment in which the process turns into another program, as
// each container's does when it starts.
func spaceOf(p process) (ns netns.NsHandle, err error) {
	_ = until(context.Background(), startPatience, func() bool { // err says the same
		ns, err = netns.GetFromPid(p.PID)
		return !errors.Is(err, fs.ErrNotExist) || !p.alive()
	})
	return ns, err
}

// bendVeth gives a device in a container and its other end the properties of a link.
func bendVeth(inside, outside *space, near netlink.Link, l Link) error {
	far, err := outside.links.LinkByIndex(near.Attrs().ParentIndex)
	if err != nil {
		return fmt.Errorf("find the other end of %s: %w", near.Attrs().Name, err)
	}
	mtu := l.MTU
	if mtu == 0 {
		mtu = usualMTU
	}
	nearName, farName := near.Attrs().Name, far.Attrs().Name
	return errors.Join(
		inside.resize(nearName, mtu), outside.resize(farName, mtu),
		inside.queue(nearName, l.Up, l.Delay), outside.queue(farName, l.Down, l.Delay),
	)
}

// spaceAt looks into a namespace that others made; err is that of opening it.
func spaceAt(ns netns.NsHandle, err error) (*space, error) {
	if err != nil {
		return nil, fmt.Errorf("open a network namespace: %w", err)
	}
	links, err := netlink.NewHandleAt(ns)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("look into a network namespace: %w", err), ns.Close())
	}
	return &space{ns: ns, links: links}, nil
}
