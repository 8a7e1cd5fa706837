package store

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound says that the index has no such root, node or chunk.
	ErrNotFound = errors.New("not found")
	// ErrStale says that the index knows where a chunk was, and that none of those places holds it any more.
	ErrStale = errors.New("changed since it was indexed")
	// ErrExists says that something lies at the destination of a download, and is not what was to be written there.
	ErrExists = errors.New("already exists")
	// ErrRefused says that a path must not be shared or written to; the text says why.
	ErrRefused = errors.New("refused")
	// ErrNoSpace says that the disk of a destination or of the index is too full.
	ErrNoSpace = errors.New("not enough space")
	// ErrIncomplete says that a download was to be committed before all its chunks were there.
	ErrIncomplete = errors.New("chunks are missing")
	// ErrLength says that a chunk is longer or shorter than its tree claims.
	ErrLength = errors.New("a chunk's length is not what its tree claims")
	// ErrCorrupt says that the index is damaged. Nothing but the index is lost; the text says what to do.
	ErrCorrupt = errors.New("the index is damaged")
	// ErrNewer says that the index was written by a newer version of this program. It was not touched.
	ErrNewer = errors.New("the index was written by a newer version")
	// ErrClosed says that the store or the download is closed.
	ErrClosed = errors.New("closed")
)

// LockedError says that another process has the home open.
type LockedError struct {
	Home string
	PID  int // zero if it could not be learned
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is in use by another process", e.Home)
	}
	return fmt.Sprintf("%s is in use by process %d", e.Home, e.PID)
}
