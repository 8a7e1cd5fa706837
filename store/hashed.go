package store

import "sync"

// hashed knows which chunks this process has hashed, and found right, where they lie. A generation says what a running system
// would say of a file; after a power cut it can stand beside bytes that never reached the disk, or, on ext4 with
// data=writeback and on file systems without a log, beside those of another file. So the first reading of a chunk after a
// start is hashed whatever the generation says.
type hashed struct {
	mu    sync.RWMutex // guards what follows
	whole map[holdingID]bits
	parts map[fileKey]bits // of the files that are not in whole, by offset in units of hashedUnit
}

// hashedUnit is the length in bytes from which on a chunk is worth a bit. Smaller ones are hashed each time.
const hashedUnit = 64 << 10

func newHashed() *hashed {
	return &hashed{whole: make(map[holdingID]bits), parts: make(map[fileKey]bits)}
}

// all notes that every chunk of a file was hashed.
func (h *hashed) all(k fileKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.whole[k.holding] = h.whole[k.holding].with(uint64(k.no))
	delete(h.parts, k)
}

// one notes that the chunk at a place was hashed, in a file of a size in bytes.
func (h *hashed) one(p place, size int64) {
	switch {
	case int64(p.length) == size:
		h.all(p.file)
	case p.length >= hashedUnit:
		h.mu.Lock()
		defer h.mu.Unlock()
		if !h.whole[p.file.holding].has(uint64(p.file.no)) {
			h.parts[p.file] = h.parts[p.file].with(uint64(p.offset) / hashedUnit)
		}
	}
}

func (h *hashed) has(p place) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.whole[p.file.holding].has(uint64(p.file.no)) ||
		p.length >= hashedUnit && h.parts[p.file].has(uint64(p.offset)/hashedUnit)
}

// forget drops what is known of a holding.
func (h *hashed) forget(id holdingID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.whole, id)
	for k := range h.parts {
		if k.holding == id {
			delete(h.parts, k)
		}
	}
}

// bits is a set of numbers that grows as needed.
type bits []uint64

func (b bits) has(n uint64) bool { return n/64 < uint64(len(b)) && b[n/64]&(1<<(n%64)) != 0 }

func (b bits) with(n uint64) bits {
	if need := int(n/64) + 1 - len(b); need > 0 {
		b = append(b, make(bits, need)...)
	}
	b[n/64] |= 1 << (n % 64)
	return b
}
