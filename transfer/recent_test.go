package transfer

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/content"
)

// What has just come in is passed on without being read back, and nothing of it is kept when the session is over.
func TestPassedOnFromMemory(t *testing.T) {
	inWorld(t, func(w *world) {
		source, first, second := w.member("source"), w.member("first"), w.member("second")
		tree := source.put(t, maxRecent, 1)
		a := w.fetch(first, tree.Root)
		b := w.fetch(second, tree.Root, first.host)
		synctest.Wait()
		a.Offer(source.host.id)
		a.must(t, time.Minute)
		b.must(t, time.Minute)
		if a.sink.reads != 0 {
			t.Errorf("%d of %d chunks were read back", a.sink.reads, tree.NumChunks())
		}
		a.cancel()
		synctest.Wait()
		if n := first.recents.Load(); n != 0 {
			t.Errorf("%d bytes are still kept", n)
		}
	})
}

// Nobody lacks what a lone download brings.
func TestNothingIsKeptForNobody(t *testing.T) {
	inWorld(t, func(w *world) {
		one, two, me := w.member("one"), w.member("two"), w.member("me")
		tree := one.put(t, 8*mib, 1)
		two.put(t, 8*mib, 1)
		w.fetch(me, tree.Root, one.host, two.host).must(t, time.Minute)
		if n := me.recents.Load(); n != 0 {
			t.Errorf("%d bytes are kept", n)
		}
	})
}

func TestRecentIsBounded(t *testing.T) {
	var budget atomic.Int64
	fill := func(r *recent, chunks int) {
		for n := range chunks {
			b := buffer(content.ChunkSize)
			b[0] = byte(n)
			r.keep(uint32(n), b)
		}
	}
	has := func(r *recent, n int) bool {
		buf := make([]byte, content.ChunkSize)
		return r.read(uint32(n), buf) == len(buf) && buf[0] == byte(n)
	}
	const fit = maxRecent / content.ChunkSize
	one := &recent{budget: &budget}
	fill(one, fit)
	one.keep(0, buffer(content.ChunkSize)) // twice: the first one stays
	if budget.Load() != maxRecent || !has(one, 0) {
		t.Fatalf("%d bytes are kept of %d, or the first chunk is not", budget.Load(), maxRecent)
	}
	fill(one, fit+1) // one is new
	if budget.Load() != maxRecent || has(one, 0) || !has(one, 1) || !has(one, fit) {
		t.Errorf("with one chunk too many, %d bytes are kept, expected %d without the oldest", budget.Load(), maxRecent)
	}
	if n := one.read(1, make([]byte, content.ChunkSize-1)); n != 0 {
		t.Errorf("%d bytes came into a buffer that is too short", n)
	}
	budget.Store(maxRecents)
	two := &recent{budget: &budget}
	fill(two, 1)
	if budget.Load() != maxRecents || has(two, 0) {
		t.Errorf("the node keeps %d bytes, expected at most %d", budget.Load(), maxRecents)
	}
	budget.Store(maxRecent)
	one.clear()
	if budget.Load() != 0 || has(one, fit) {
		t.Errorf("%d bytes are kept by a session that has ended", budget.Load())
	}
}
