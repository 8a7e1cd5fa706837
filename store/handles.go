package store

import (
	"container/list"
	"io"
	"sync"
	"time"
)

// handles keeps files and directories open between uses: up to max of them, each until nobody used it for a while. An open
// directory keeps its file system from being unmounted, and on some systems an open file cannot be deleted, so none stays
// open for long.
type handles[K comparable, V io.Closer] struct {
	max  int
	idle time.Duration

	mu     sync.Mutex // guards what follows
	open   map[K]*handle[K, V]
	recent *list.List // of *handle, the last used first
	timer  *time.Timer
	closed bool
}

// handle is one open thing. Whoever got it calls done when it is no longer used.
type handle[K comparable, V io.Closer] struct {
	value V

	key  K
	uses int
	last time.Time
	at   *list.Element // nil once it is out of the list: then the last user closes it
}

func newHandles[K comparable, V io.Closer](most int, idle time.Duration) *handles[K, V] {
	return &handles[K, V]{max: most, idle: idle, open: make(map[K]*handle[K, V]), recent: list.New()}
}

// get returns the handle under k, opening it if need be.
func (h *handles[K, V]) get(k K, open func() (V, error)) (*handle[K, V], error) {
	if found := h.find(k); found != nil {
		return found, nil
	}
	v, err := open()
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if other := h.open[k]; other != nil { // somebody else was faster
		v.Close()
		h.use(other)
		return other, nil
	}
	n := &handle[K, V]{key: k, value: v}
	if !h.closed {
		n.at = h.recent.PushFront(n)
		h.open[k] = n
	}
	h.use(n)
	for h.recent.Len() > h.max {
		h.remove(h.recent.Back().Value.(*handle[K, V]))
	}
	return n, nil
}

func (h *handles[K, V]) find(k K) *handle[K, V] {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.open[k]
	if n != nil {
		h.use(n)
	}
	return n
}

func (h *handles[K, V]) use(n *handle[K, V]) {
	n.uses++
	if n.at != nil {
		h.recent.MoveToFront(n.at)
	}
}

// done gives a handle back.
func (h *handles[K, V]) done(n *handle[K, V]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n.uses--
	n.last = time.Now()
	switch {
	case n.at == nil && n.uses == 0:
		n.value.Close()
	case n.at != nil && h.timer == nil:
		h.timer = time.AfterFunc(h.idle, h.sweep)
	}
}

// drop forgets the handle under k, so that the next use opens it anew.
func (h *handles[K, V]) drop(k K) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.open[k]; n != nil {
		h.remove(n)
	}
}

// dropIf forgets every handle whose key is meant.
func (h *handles[K, V]) dropIf(meant func(K) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, n := range h.open {
		if meant(k) {
			h.remove(n)
		}
	}
}

// remove takes a handle out of the list and closes it, unless it is being used: then its last user does.
func (h *handles[K, V]) remove(n *handle[K, V]) {
	h.recent.Remove(n.at)
	n.at = nil
	delete(h.open, n.key)
	if n.uses == 0 {
		n.value.Close()
	}
}

// sweep closes what nobody used for a while.
func (h *handles[K, V]) sweep() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timer = nil
	if h.closed {
		return
	}
	before := time.Now().Add(-h.idle)
	for _, n := range h.open {
		if n.uses == 0 && !n.last.After(before) {
			h.remove(n)
		}
	}
	if len(h.open) > 0 {
		h.timer = time.AfterFunc(h.idle, h.sweep)
	}
}

// close closes everything. What is being used is closed by its last user.
func (h *handles[K, V]) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.timer != nil {
		h.timer.Stop()
	}
	for _, n := range h.open {
		h.remove(n)
	}
}
