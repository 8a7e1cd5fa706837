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
	"strings"
	"sync/atomic"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// protocol is what package transfer calls Protocol. If it changes, nobody talks to the actors, and the figures with them fail
// because the actors have not played.
const protocol = "/shoal/transfer/1"

// The parts that this program plays in a process of its own, on bare libp2p.
const (
	actLiar  = "liar"  // says that it has everything, and sends wrong bytes
	actStall = "stall" // says that it has everything, and sends nothing
	actWatch = "watch" // asks peers what they have, and says when together they have all; takes and gives nothing
)

// actor is the program in one of these parts.
type actor struct {
	act, file, listen, peers string

	root  content.Made
	asked atomic.Int64 // chunks that others wanted from it, or were ready to take
	lies  atomic.Int64 // chunks that it sent
}

func (a *actor) flags() {
	flag.StringVar(&a.act, "act", "", "play a part for a measurement: "+strings.Join([]string{actLiar, actStall, actWatch}, ", "))
	flag.StringVar(&a.file, "file", "", "with -act: the file that it is about")
	flag.StringVar(&a.listen, "listen", "127.0.0.1", "with -act: the IP address to listen on")
	flag.StringVar(&a.peers, "peers", "", "with -act watch: comma separated multiaddrs with /p2p/")
}

// part is what an actor reports on standard output, one object a line: first where it is, and at the end what it did.
type part struct {
	Addr  string `json:"addr,omitempty"`
	Asked int64  `json:"asked,omitempty"`
	Lies  int64  `json:"lies,omitempty"`
	Whole bool   `json:"whole,omitempty"`
}

func (p part) print() error { return json.NewEncoder(os.Stdout).Encode(p) }

// run plays until ctx ends.
func (a *actor) run(ctx context.Context) error {
	if err := a.learn(); err != nil {
		return err
	}
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/"+a.listen+"/tcp/0"), libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New), libp2p.DisableRelay())
	if err != nil {
		return err
	}
	defer h.Close()
	switch a.act {
	case actLiar, actStall:
		h.SetStreamHandler(protocol, a.serve)
	case actWatch:
		return a.watch(ctx, h)
	default:
		return fmt.Errorf("there is no part %q", a.act)
	}
	if err := (part{Addr: fmt.Sprintf("%s/p2p/%s", h.Addrs()[0], h.ID())}).print(); err != nil {
		return err
	}
	<-ctx.Done() // it has been asked to end
	return part{Asked: a.asked.Load(), Lies: a.lies.Load()}.print()
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

// size is the length of a chunk in bytes.
func (a *actor) size(n uint32) int64 {
	return min(content.ChunkSize, a.root.Size-int64(n)*content.ChunkSize)
}

// walk is the inner nodes in the order in which the protocol sends them: from the top, where MakeFile puts them last. The
// file has at most 1024 chunks, so there is one.
func (a *actor) walk() [][]byte {
	var blocks [][]byte
	for _, b := range a.root.Blocks {
		blocks = append([][]byte{b.Data}, blocks...)
	}
	return blocks
}

// serve answers one stream.
func (a *actor) serve(str network.Stream) {
	defer str.Reset()
	v := &victim{actor: a, str: str}
	for in := wire.NewReader(str); ; {
		m, err := in.Next()
		if err != nil {
			return
		}
		if err := v.answer(m); err != nil {
			return
		}
	}
}

// victim is one peer that takes the actor for an honest source.
type victim struct {
	*actor
	str io.Writer
}

func (v *victim) answer(m wire.Message) error {
	switch m := m.(type) {
	case wire.Hello:
		if !m.Root.Equals(v.root.CID) {
			return say(v.str, wire.Bye{Code: wire.ByeNotHere})
		}
		return say(v.str, wire.Hello{Root: v.root.CID}, wire.Have{Ranges: []content.Range{{First: 0, Count: v.chunks()}}})
	case wire.TreeAsk:
		return say(v.str, wire.Nodes{Blocks: v.walk()[min(int(m.Skip), len(v.root.Blocks)):]}, wire.NodesEnd{})
	case wire.Want:
		return v.each(m.Ranges, func(n uint32) error {
			v.asked.Add(1)
			return v.lie(n)
		})
	case wire.Seek:
		return say(v.str, wire.Offer{Ranges: []content.Range{{First: 0, Count: v.chunks()}}})
	}
	return nil
}

// each calls f with every chunk of the ranges that exists.
func (v *victim) each(ranges []content.Range, f func(uint32) error) error {
	for _, r := range ranges {
		for n := r.First; n < min(r.First+r.Count, v.chunks()); n++ {
			if err := f(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// lie sends a chunk of the right size whose bytes are all wrong. Who stalls sends nothing.
func (v *victim) lie(n uint32) error {
	if v.act != actLiar {
		return nil
	}
	v.lies.Add(1)
	wrong := make([]byte, wire.MaxPayload)
	for at := int64(0); at < v.size(n); at += wire.MaxPayload {
		size := min(wire.MaxPayload, v.size(n)-at)
		if err := say(v.str, wire.Data{Pieces: []wire.Piece{{Chunk: n, Offset: uint32(at), Length: uint32(size)}}}); err != nil {
			return err
		}
		if _, err := v.str.Write(wrong[:size]); err != nil {
			return err
		}
	}
	return nil
}

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

// played ends the actor and fails if nobody wanted anything from it, because then it has disturbed nobody.
func (p *actorProcess) played() error {
	if err := p.stop(); err != nil {
		return err
	}
	var did part
	if err := p.answer(&did); err != nil {
		return err
	}
	fmt.Printf("  the %s was asked for %d chunks and sent %d wrong ones\n", p.act, did.Asked, did.Lies)
	if did.Asked == 0 || (p.act == actLiar && did.Lies == 0) {
		return fmt.Errorf("nobody took anything from the %s, so the figure does not mean what it says", p.act)
	}
	return nil
}
