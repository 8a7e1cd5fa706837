package transfer

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-p2p/shoal/transfer/wire"
)

// Why a link ended, where the reason is ours.
var (
	errUnsolicited  = errors.New("sent a chunk that was not asked for")
	errPieceOrder   = errors.New("sent a piece out of order")
	errOutOfTurn    = errors.New("sent a message out of turn")
	errTooManyAsks  = errors.New("asked for the tree too often")
	errTooManyPeers = errors.New("named too many peers")
	errDouble       = errors.New("another stream does the same")
	errSilent       = errors.New("stopped answering")
	errNotReading   = errors.New("does not read")
	errBadNode      = errors.New("sent an inner node that does not match its CID")
	errBadChunks    = errors.New("sent bad chunks")
	errEnded        = errors.New("session ended")
)

// PeerError is what went wrong with one peer.
type PeerError struct {
	Peer peer.ID
	Op   string
	Err  error
}

func (e *PeerError) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Peer, e.Err) }

func (e *PeerError) Unwrap() error { return e.Err }

// byeError is the reason that the other side gave for ending a stream.
type byeError struct{ code wire.Code }

func (e *byeError) Error() string { return fmt.Sprintf("the peer said: %v", e.code) }
