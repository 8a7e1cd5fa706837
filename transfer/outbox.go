package transfer

import (
	"sync"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/transfer/wire"
)

// outbox is what waits to be written to one peer: control frames first, then inner nodes, then chunks. Putting something in
// never blocks.
type outbox struct {
	wake chan struct{} // holds one token when there may be something to do

	mu     sync.Mutex // guards the rest
	frames []byte     // encoded control messages
	asks   []uint32   // tree requests: inner nodes to skip
	chunks []content.Range
	going  uint32 // the chunk that is being sent, if there is one
	gone   bool   // there is none, or it was withdrawn
	ending bool
	code   wire.Code
}

func newOutbox() outbox { return outbox{wake: make(chan struct{}, 1)} }

func (o *outbox) rouse() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// control queues one message; errNotReading when too many wait.
func (o *outbox) control(m wire.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ending {
		return nil
	}
	if len(o.frames) > maxQueued {
		return errNotReading
	}
	frames, err := wire.Append(o.frames, m)
	if err != nil {
		return err
	}
	o.frames = frames
	o.rouse()
	return nil
}

func (o *outbox) shape(skip uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asks = append(o.asks, skip)
	o.rouse()
}

func (o *outbox) give(ranges []content.Range) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.chunks = append(o.chunks, ranges...)
	o.rouse()
}

// withdraw takes chunks out, returns those whose sending had not begun, and has the one that is being sent cut short.
func (o *outbox) withdraw(ranges []content.Range) (unsent []uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range ranges {
		o.chunks, unsent = cut(o.chunks, r, unsent)
		if o.going >= r.First && o.going-r.First < r.Count {
			o.gone = true
		}
	}
	return unsent
}

// wanted reports whether the chunk that is being sent was not withdrawn.
func (o *outbox) wanted() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.gone
}

// cut removes r from ranges, and adds what it removed to gone.
func cut(ranges []content.Range, r content.Range, gone []uint32) ([]content.Range, []uint32) {
	var out []content.Range
	for _, x := range ranges {
		lo, hi := max(x.First, r.First), min(x.First+x.Count, r.First+r.Count)
		if lo >= hi {
			out = append(out, x)
			continue
		}
		for n := lo; n < hi; n++ {
			gone = append(gone, n)
		}
		if x.First < lo {
			out = append(out, content.Range{First: x.First, Count: lo - x.First})
		}
		if end := x.First + x.Count; hi < end {
			out = append(out, content.Range{First: hi, Count: end - hi})
		}
	}
	return out, gone
}

// end makes the writer say goodbye and stop. Only the first call counts.
func (o *outbox) end(code wire.Code) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ending {
		o.ending, o.code = true, code
	}
	o.rouse()
}

// takeFrames hands over the control frames, leaving the emptied buffer of the last time in their place.
func (o *outbox) takeFrames(empty []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	full := o.frames
	o.frames = empty[:0]
	return full
}

// next says what to do after the control frames are out.
func (o *outbox) next() (ask *uint32, chunk uint32, some, ending bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.ending:
		return nil, 0, false, true
	case len(o.asks) > 0:
		skip := o.asks[0]
		o.asks = o.asks[1:]
		return &skip, 0, true, false
	case len(o.chunks) > 0:
		return nil, o.pop(), true, false
	}
	return nil, 0, false, false
}

// pop takes the next chunk. Callers hold mu and know that there is one.
func (o *outbox) pop() uint32 {
	r := &o.chunks[0]
	n := r.First
	o.going, o.gone = n, false
	r.First++
	if r.Count--; r.Count == 0 {
		o.chunks = o.chunks[1:]
	}
	return n
}

// popIf takes the next chunk if there is one and ok says so.
func (o *outbox) popIf(ok func(n uint32) bool) (uint32, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.chunks) == 0 || !ok(o.chunks[0].First) {
		return 0, false
	}
	return o.pop(), true
}
