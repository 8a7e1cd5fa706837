package transfer

import (
	"sync"

	"github.com/shoal-p2p/shoal/content"
)

// chunkBuffers keeps the 1 MiB buffers that big chunks arrive in and leave from. Small chunks are allocated to their size.
var chunkBuffers = sync.Pool{New: func() any { return new([content.ChunkSize]byte) }}

// buffer returns n bytes, pooled when that is worth it.
func buffer(n int) []byte {
	if n > smallChunk && n <= content.ChunkSize {
		return chunkBuffers.Get().(*[content.ChunkSize]byte)[:n]
	}
	return make([]byte, n)
}

// release takes a buffer back. The caller must be its only holder.
func release(b []byte) {
	if cap(b) == content.ChunkSize {
		chunkBuffers.Put((*[content.ChunkSize]byte)(b[:content.ChunkSize]))
	}
}
