package transfer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// TestStatusSaysWhatEachPeerMoved has one good source and one that sends a chunk only once it has been called off.
func TestStatusSaysWhatEachPeerMoved(t *testing.T) {
	inWorld(t, func(w *world) {
		me, good, late := w.member("me"), w.member("good"), w.stranger("late")
		tree := good.put(t, 64*mib, 1)
		sent := make(chan int, 64)
		late.accept(func(l *line, root cid.Cid) {
			l.say(wire.Hello{Root: root}, wire.Have{Ranges: []content.Range{{First: 0, Count: uint32(tree.NumChunks())}}})
			for {
				switch m := l.expect().(type) {
				case nil:
					l.str.Close()
					return
				case wire.TreeAsk:
					l.say(wire.Nodes{Blocks: [][]byte{good.nodes[root]}}, wire.NodesEnd{})
				case wire.Seek: // and takes its time
					l.say(wire.Offer(m))
				case wire.Cancel:
					for _, r := range m.Ranges {
						for n := r.First; n < r.First+r.Count; n++ {
							l.chunk(n, good.chunks[tree.Digest(n)])
							sent <- tree.ChunkLen(n)
						}
					}
				}
			}
		})
		d := w.fetch(me, tree.Root, late.host)
		synctest.Wait()
		d.Offer(good.host.id)
		d.must(t, time.Minute)
		synctest.Wait()
		close(sent)
		wasted := 0
		for n := range sent {
			wasted += n
		}
		if wasted == 0 {
			t.Fatal("the late peer was never asked for a chunk and called off: this tests nothing")
		}
		s := d.Status()
		if s.Stored != 64*mib || s.Wasted != int64(wasted) {
			t.Errorf("%d bytes stored and %d wasted, expected %d and %d", s.Stored, s.Wasted, 64*mib, wasted)
		}
		for _, p := range s.Peers {
			switch p.Peer {
			case good.host.id:
				if p.Down != 64*mib || p.Rate <= 0 || p.Wasted != 0 || p.Relayed {
					t.Errorf("the good peer: %+v", p)
				}
			case late.host.id:
				if p.Down != 0 || p.Rate != 0 || p.Wasted != int64(wasted) {
					t.Errorf("the late peer: %+v, expected %d bytes wasted", p, wasted)
				}
			}
		}
		up := good.Statuses()[0]
		if len(up.Peers) != 1 || up.Peers[0].Up != 64*mib || up.Peers[0].UpRate <= 0 {
			t.Errorf("the good peer's own status: %+v", up)
		}
	})
}

// TestAChunkThatComesTwiceIsWasted posts what workers report when two peers bring the same chunk.
func TestAChunkThatComesTwiceIsWasted(t *testing.T) {
	inWorld(t, func(w *world) {
		me, a, b := w.member("me"), w.member("a"), w.member("b")
		tree := a.put(t, 4*mib, 1)
		b.put(t, 4*mib, 1)
		d := w.fetch(me, tree.Root, a.host, b.host)
		d.must(t, time.Minute)
		before := d.Status().Wasted // the end of the download may have asked both peers for the same chunk
		d.post(func() {
			for _, l := range d.links {
				if l.peer == b.host.id {
					d.settled(l, []uint32{1, 2}, nil)
				}
			}
		})
		s := d.Status()
		if wasted := s.Wasted - before; s.Stored != 4*mib || wasted != 2*mib {
			t.Errorf("%d bytes stored and %d more wasted, expected %d and %d", s.Stored, wasted, 4*mib, 2*mib)
		}
	})
}

func TestRelayedAddresses(t *testing.T) {
	const id = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
	for addr, want := range map[string]bool{
		"/ip4/10.0.0.7/tcp/4747": false, "": false, "/dns4/p2p-circuit/tcp/1": false,
		"/ip4/10.0.0.7/tcp/4747/p2p/" + id + "/p2p-circuit": true, "/p2p-circuit": true,
		"/ip4/10.0.0.7/udp/4747/quic-v1/p2p/" + id + "/p2p-circuit/p2p/" + id: true,
	} {
		if got := relayed(addr); got != want {
			t.Errorf("relayed(%q) = %v", addr, got)
		}
	}
}
