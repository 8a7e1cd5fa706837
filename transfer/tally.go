package transfer

import (
	"sync/atomic"
	"time"

	"github.com/multiformats/go-multiaddr"
)

// tally is what one link moves, for who watches: nothing is decided by it.
type tally struct {
	downRate, upRate meter        // the loop's
	wasted           atomic.Int64 // bytes of chunks that came for nothing: they were here, or had been called off
}

// waste notes bytes that came for nothing.
func (l *link) waste(bytes int) {
	l.wasted.Add(int64(bytes))
	l.x.wasted.Add(int64(bytes))
}

// fresh counts the bytes of chunks that were not here before, and the others as wasted. It runs on the loop, before the
// chunks are noted as here.
func (l *link) fresh(good []uint32) (bytes int) {
	for _, n := range good {
		if l.x.have.Has(int(n)) {
			l.waste(l.x.tree.ChunkLen(n))
			continue
		}
		bytes += l.x.tree.ChunkLen(n)
	}
	l.downRate.add(time.Now(), bytes)
	l.down.Add(int64(bytes))
	if c := l.contact; c != nil && l.x.links[l.id] != l { // it has left, and what it gave is counted there
		c.down += int64(bytes)
	}
	return bytes
}

// relayed reports whether what is sent to addr goes through a third node.
func relayed(addr string) bool {
	a, err := multiaddr.NewMultiaddr(addr)
	if err != nil {
		return false
	}
	_, err = a.ValueForProtocol(multiaddr.P_CIRCUIT)
	return err == nil
}
