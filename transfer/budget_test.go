package transfer

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// held is what a session has asked for that is not whole yet, in bytes: of how much is expected, and of the buffers for it.
func (x *Session) held() (expected, buffers int) {
	done := make(chan struct{})
	x.post(func() {
		for _, l := range x.links {
			l.mu.Lock()
			for _, a := range l.expects {
				expected += a.size
				buffers += len(a.buf)
			}
			l.mu.Unlock()
		}
		close(done)
	})
	<-done
	return expected, buffers
}

// Twenty peers that give all but the last byte of every chunk make a download hold as much as it may, and not a chunk more; one
// chunk that is pushed beyond that ends its stream.
func TestUnverifiedBytesAreBounded(t *testing.T) {
	inWorld(t, func(w *world) {
		me, shelf := w.member("me"), newShelf()
		tree := shelf.put(t, 64*mib, 1)
		push := make(chan struct{})
		asked := make([]atomic.Bool, tree.NumChunks())
		var hosts []*pipeHost
		for i := range 20 {
			s := w.stranger(fmt.Sprint("s", i))
			s.accept(func(l *line, root cid.Cid) {
				all := []content.Range{{First: 0, Count: uint32(tree.NumChunks())}}
				l.say(wire.Hello{Root: root}, wire.Have{Ranges: all}, wire.Offer{Ranges: all})
				go func() {
					select {
					case <-push:
					case <-w.ctx.Done():
						return
					}
					for n := range asked {
						if !asked[n].Load() {
							l.chunk(uint32(n), shelf.chunks[tree.Digest(uint32(n))])
							return
						}
					}
				}()
				for {
					switch m := l.expect().(type) {
					case nil:
						return
					case wire.TreeAsk:
						l.say(wire.Nodes{Blocks: [][]byte{shelf.nodes[root]}}, wire.NodesEnd{})
					case wire.Want:
						for _, r := range m.Ranges {
							for n := r.First; n < r.First+r.Count; n++ {
								asked[n].Store(true)
								l.chunk(n, shelf.chunks[tree.Digest(n)][:mib-1])
							}
						}
					}
				}
			})
			hosts = append(hosts, s.host)
		}
		d := w.fetch(me, tree.Root, hosts...)
		most := 0
		for range 100 {
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
			expected, buffers := d.held()
			if most = max(most, buffers); expected > maxInFlight || buffers > expected {
				t.Fatalf("%d bytes are expected and %d in buffers, the most is %d", expected, buffers, maxInFlight)
			}
		}
		if most <= maxInFlight-2*mib {
			t.Errorf("%d bytes were held at most: the bound of %d was not tried", most, maxInFlight)
		}
		before := d.Status().Links
		close(push)
		time.Sleep(time.Second)
		if n := d.Status().Links; n >= before {
			t.Errorf("%d links of %d are left after chunks that nobody asked for", n, before)
		}
		if expected, _ := d.held(); expected > maxInFlight {
			t.Errorf("%d bytes are expected, the most is %d", expected, maxInFlight)
		}
	})
}

func TestDownloadsShareABudget(t *testing.T) {
	inWorld(t, func(w *world) {
		a, me := w.member("a"), w.member("me")
		var all []*download
		promised := func() int {
			synctest.Wait()
			me.mu().Lock()
			defer me.mu().Unlock()
			return me.Service.promised
		}
		for i := range 12 {
			d := w.fetch(me, a.put(t, 2*mib, uint64(i)).Root, a.host)
			d.must(t, 10*time.Second)
			all = append(all, d)
			switch n := promised(); {
			case i == 0 && n != maxInFlight:
				t.Errorf("the first download may hold %d bytes, expected %d", n, maxInFlight)
			case n > maxUnverified || n < maxUnverified*(i-1)/12:
				t.Errorf("%d downloads may hold %d bytes", i+1, n)
			}
		}
		for _, d := range all {
			d.cancel()
		}
		if n := promised(); n != 0 {
			t.Errorf("%d bytes are still promised to downloads that have ended", n)
		}
	})
}
