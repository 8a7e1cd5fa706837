//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/libp2p/go-libp2p"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// protocol is what package transfer calls Protocol. If it changes, nobody talks to the actor, and the figure that waits for it fails.
const protocol = "/shoal/transfer/1"

// actWatch is the part that this program plays in a process of its own, on bare libp2p: it asks peers what they have, and says when together
// they have all. It takes and gives nothing.
const actWatch = "watch"

// actor is the program in that part.
type actor struct {
	act, file, listen, peers string

	root content.Made
}

func (a *actor) flags() {
	flag.StringVar(&a.act, "act", "", "play a part for a measurement: "+actWatch)
	flag.StringVar(&a.file, "file", "", "with -act: the file that it is about")
	flag.StringVar(&a.listen, "listen", "127.0.0.1", "with -act: the IP address to listen on")
	flag.StringVar(&a.peers, "peers", "", "with -act watch: comma separated multiaddrs with /p2p/")
}

// part is what an actor reports on standard output, one object a line: first where it is, and at the end what it saw.
type part struct {
	Addr  string `json:"addr,omitempty"`
	Whole bool   `json:"whole,omitempty"`
}

func (p part) print() error { return json.NewEncoder(os.Stdout).Encode(p) }

// run plays until ctx ends.
func (a *actor) run(ctx context.Context) error {
	if a.act != actWatch {
		return fmt.Errorf("there is no part %q", a.act)
	}
	if err := a.learn(); err != nil {
		return err
	}
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/"+a.listen+"/tcp/0"), libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New), libp2p.DisableRelay())
	if err != nil {
		return err
	}
	defer h.Close()
	return a.watch(ctx, h)
}

// learn makes the tree of the file.
func (a *actor) learn() error {
	f, err := os.Open(a.file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	leaves := make([]content.Digest, content.ChunkCount(info.Size()))
	if err := content.HashSpan(f, info.Size(), 0, len(leaves), leaves, make([]byte, 128<<10)); err != nil {
		return err
	}
	a.root, err = content.MakeFile(info.Size(), leaves)
	return err
}

func (a *actor) chunks() uint32 { return uint32(content.ChunkCount(a.root.Size)) }

func say(str io.Writer, messages ...wire.Message) error {
	var frames []byte
	for _, m := range messages {
		var err error
		if frames, err = wire.Append(frames, m); err != nil {
			return err
		}
	}
	_, err := str.Write(frames)
	return err
}

// actorProcess is an actor as the measuring process sees it.
type actorProcess struct {
	*process
	act  string
	addr string
}

// actor starts a part on a machine and waits for its first line.
func (a *arena) actor(ctx context.Context, m *machine, act string, args ...string) (*actorProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	run, err := m.launch(ctx, self, append([]string{"-act", act, "-listen", m.ip}, args...)...)
	if err != nil {
		return nil, err
	}
	a.other = append(a.other, run)
	p := &actorProcess{process: run, act: act}
	first, err := p.next(ctx)
	p.addr = first.Addr
	return p, err
}

// next waits for the actor's first line.
func (p *actorProcess) next(ctx context.Context) (first part, err error) {
	return first, until(ctx, graceful, "the "+p.act+" said nothing", func() (bool, error) {
		if !p.running() {
			return false, errors.Join(p.wait(), fmt.Errorf("the %s has ended", p.act))
		}
		line, whole := p.out.line()
		if !whole {
			return false, nil
		}
		return true, json.Unmarshal(line, &first)
	})
}
