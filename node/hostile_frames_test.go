package node

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
)

// The frames of /shoal/transfer/1, written and read by hand from the protocol's text in package wire. A hostile peer has no
// use for wire's own writer, which keeps the limits that are to be broken; and whoever shares code with what it tests shares
// its errors too.
const (
	kindHello    = 0x01
	kindTreeAsk  = 0x02
	kindNodes    = 0x03
	kindNodesEnd = 0x04
	kindHave     = 0x05
	kindWant     = 0x06
	kindCancel   = 0x07
	kindData     = 0x08
	kindCannot   = 0x09
	kindBye      = 0x0a
	kindSeek     = 0x0b
	kindComing   = 0x0c
	kindGot      = 0x0d
	kindOffer    = 0x0f
)

const (
	byeNotHere     = 1
	byeProtocol    = 3
	cannotNotHere  = 32
	mostPayload    = 256 << 10 // bytes of chunks in one Data frame
	mostControl    = 64 << 10  // bytes of the body of a small frame
	mostNodesBytes = 1 << 20   // of inner nodes that an honest source puts into one frame
)

// frameOf is one whole frame of the given kind.
func frameOf(kind byte, body ...[]byte) []byte {
	inside := slices.Concat(append([][]byte{{kind}}, body...)...)
	return append(binary.AppendUvarint(nil, uint64(len(inside))), inside...)
}

// numbers are unsigned varints, one after the other.
func numbers(list ...uint64) []byte {
	var b []byte
	for _, n := range list {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func helloFrame(root cid.Cid) []byte {
	return frameOf(kindHello, numbers(0, uint64(root.ByteLen())), root.Bytes())
}

// rangesBody lists ranges, which must be sorted.
func rangesBody(ranges ...content.Range) []byte {
	b := numbers(uint64(len(ranges)))
	end := uint32(0)
	for _, r := range ranges {
		b = append(b, numbers(uint64(r.First-end), uint64(r.Count))...)
		end = r.First + r.Count
	}
	return b
}

func rangesFrame(kind byte, ranges ...content.Range) []byte {
	return frameOf(kind, rangesBody(ranges...))
}

func nodesFrame(blocks ...[]byte) []byte {
	body := numbers(uint64(len(blocks)))
	for _, b := range blocks {
		body = append(append(body, numbers(uint64(len(b)))...), b...)
	}
	return frameOf(kindNodes, body)
}

// dataFrame carries part of one chunk, from offset on.
func dataFrame(chunk uint32, offset int, part []byte) []byte {
	head := numbers(uint64(chunk), uint64(offset), uint64(len(part)))
	return frameOf(kindData, numbers(uint64(len(head))), head, part)
}

// told is one frame that the node sent.
type told struct {
	kind byte
	body []byte
}

func readFrame(r *bufio.Reader) (told, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return told{}, err
	}
	if n == 0 || n > 4<<20 {
		return told{}, fmt.Errorf("the node sent a frame of %d bytes", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return told{}, err
	}
	return told{body[0], body[1:]}, nil
}

// take reads the next number of the body.
func (h *told) take() uint64 {
	v, n := binary.Uvarint(h.body)
	h.body = h.body[max(n, 0):]
	return v
}

func (h told) ranges() []content.Range {
	out := make([]content.Range, 0, 4)
	end := uint32(0)
	for range h.take() {
		r := content.Range{First: end + uint32(h.take())}
		r.Count = uint32(h.take())
		end = r.First + r.Count
		out = append(out, r)
	}
	return out
}

// payload is how many bytes of chunks a Data frame carries.
func (h told) payload() int {
	head := h.take()
	return len(h.body) - int(head)
}

func (h told) each(f func(chunk uint32)) {
	for _, r := range h.ranges() {
		for n := r.First; n < r.First+r.Count; n++ {
			f(n)
		}
	}
}
