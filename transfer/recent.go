package transfer

import (
	"sync"
	"sync/atomic"
)

// recent holds chunks that a session has just verified and that some peer lacks. In a swarm a chunk is passed on soon after it
// came, and needs to be neither read back nor hashed again for that (HOSTILE.md T12: a cache of verified chunks).
type recent struct {
	mu     sync.Mutex // guards what follows
	chunks map[uint32][]byte
	order  []uint32 // the oldest first
	size   int      // bytes
	budget *atomic.Int64
}

// keep takes over a buffer with a verified chunk, and lets go of the oldest ones for it. What does not fit is released.
func (r *recent) keep(n uint32, b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, here := r.chunks[n]; here {
		release(b)
		return
	}
	for len(r.order) > 0 && r.size+cap(b) > maxRecent {
		r.dropOldest()
	}
	if r.budget.Add(int64(cap(b))) > maxRecents {
		r.budget.Add(-int64(cap(b)))
		release(b)
		return
	}
	if r.chunks == nil {
		r.chunks = make(map[uint32][]byte)
	}
	r.chunks[n], r.order, r.size = b, append(r.order, n), r.size+cap(b)
}

func (r *recent) dropOldest() {
	n := r.order[0]
	b := r.chunks[n]
	delete(r.chunks, n)
	r.order, r.size = r.order[1:], r.size-cap(b)
	r.budget.Add(-int64(cap(b)))
	release(b)
}

// read copies a chunk into buf and returns its length; 0 if it is not here, or too long for buf.
func (r *recent) read(n uint32, buf []byte) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.chunks[n]
	if len(b) > len(buf) {
		return 0
	}
	return copy(buf, b)
}

// clear lets go of everything.
func (r *recent) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.order) > 0 {
		r.dropOldest()
	}
}
