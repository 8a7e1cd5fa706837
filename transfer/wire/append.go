package wire

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/content"
)

// Append adds m to dst as it goes over the wire and returns the longer slice. For Data that is the head of the frame only,
// whose length counts the payload: the caller writes the bytes of the pieces right behind it.
//
// Ranges go in frames of at most MaxRanges, each sorted and without overlap. Append makes as many frames as that takes, in
// the order given, so any list will do; it leaves out ranges of no chunks.
//
// The error is an [Error] of the kind Misuse, and dst is then what it was.
func Append(dst []byte, m Message) ([]byte, error) {
	f := m.frame()
	switch m := m.(type) {
	case Hello:
		return appendHello(dst, m)
	case TreeAsk:
		if m.Skip > MaxChunks {
			return dst, fail(f, Misuse, "skip")
		}
		dst = appendHead(dst, f, uvarintLen(uint64(m.Skip)))
		return binary.AppendUvarint(dst, uint64(m.Skip)), nil
	case Nodes:
		return appendNodes(dst, m)
	case NodesEnd:
		return appendHead(dst, f, 0), nil
	case Have:
		return appendRanges(dst, f, nil, m.Ranges)
	case Want:
		return appendRanges(dst, f, nil, m.Ranges)
	case Cancel:
		return appendRanges(dst, f, nil, m.Ranges)
	case Seek:
		return appendRanges(dst, f, nil, m.Ranges)
	case Coming:
		return appendRanges(dst, f, nil, m.Ranges)
	case Offer:
		return appendRanges(dst, f, nil, m.Ranges)
	case Got:
		if m.Bytes > MaxGot {
			return dst, fail(f, Misuse, "bytes")
		}
		return binary.AppendUvarint(appendHead(dst, f, uvarintLen(uint64(m.Bytes))), uint64(m.Bytes)), nil
	case Peers:
		return appendPeers(dst, m)
	case Data:
		return appendData(dst, m)
	case Cannot:
		if !m.Code.cannot() {
			return dst, fail(f, Misuse, "code")
		}
		return appendRanges(dst, f, []byte{byte(m.Code)}, m.Ranges)
	case Bye:
		if !m.Code.bye() {
			return dst, fail(f, Misuse, "code")
		}
		return append(appendHead(dst, f, 1), byte(m.Code)), nil
	}
	return dst, fail(f, Misuse, "message")
}

// appendHead begins a frame whose fields take n bytes.
func appendHead(dst []byte, f frame, n int) []byte {
	dst = binary.AppendUvarint(dst, uint64(1+n))
	return append(dst, byte(f))
}

// The fields of a hello. Of a field that it does not know a receiver skips those with odd tags and refuses the others.
const (
	fieldRoot     = 0
	fieldName     = 1
	fieldSession  = 3
	fieldUnlisted = 5
	fieldProof    = 7
)

func appendHello(dst []byte, m Hello) ([]byte, error) {
	if !m.Root.Defined() {
		return dst, fail(frameHello, Misuse, "no root")
	}
	if len(m.Name) > MaxName || !utf8.ValidString(m.Name) {
		return dst, fail(frameHello, Misuse, "name")
	}
	fields := appendField(make([]byte, 0, 128), fieldRoot, m.Root.Bytes())
	if m.Name != "" {
		fields = appendField(fields, fieldName, []byte(m.Name))
	}
	if m.Session != 0 {
		fields = appendField(fields, fieldSession, binary.BigEndian.AppendUint64(nil, m.Session))
	}
	if m.Unlisted {
		fields = appendField(fields, fieldUnlisted, nil)
	}
	if m.Proof != (Proof{}) {
		fields = appendField(fields, fieldProof, m.Proof[:])
	}
	if 1+len(fields) > MaxHello {
		return dst, fail(frameHello, Misuse, "size")
	}
	return append(appendHead(dst, frameHello, len(fields)), fields...), nil
}

func appendField(dst []byte, tag uint64, value []byte) []byte {
	dst = binary.AppendUvarint(dst, tag)
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

func appendNodes(dst []byte, m Nodes) ([]byte, error) {
	if len(m.Blocks) > MaxBlocks {
		return dst, fail(frameNodes, Misuse, "number of blocks")
	}
	n := uvarintLen(uint64(len(m.Blocks)))
	for _, b := range m.Blocks {
		if len(b) > MaxBlock {
			return dst, fail(frameNodes, Misuse, "block size")
		}
		if n += uvarintLen(uint64(len(b))) + len(b); 1+n > MaxNodes {
			return dst, fail(frameNodes, Misuse, "size")
		}
	}
	dst = appendHead(dst, frameNodes, n)
	dst = binary.AppendUvarint(dst, uint64(len(m.Blocks)))
	for _, b := range m.Blocks {
		dst = binary.AppendUvarint(dst, uint64(len(b)))
		dst = append(dst, b...)
	}
	return dst, nil
}

// appendRanges writes frames of the fields before, then the number of ranges, and for each its distance from the end of the
// one before it and how many chunks it has.
func appendRanges(dst []byte, f frame, before []byte, ranges []content.Range) ([]byte, error) {
	for _, r := range ranges {
		if r.First > MaxChunks || r.Count > MaxChunks-r.First {
			return dst, fail(f, Misuse, "chunk number")
		}
	}
	for first := true; first || len(ranges) > 0; first = false {
		run, count, size := leading(ranges)
		ranges = ranges[len(run):]
		dst = appendHead(dst, f, len(before)+uvarintLen(uint64(count))+size)
		dst = append(dst, before...)
		dst = binary.AppendUvarint(dst, uint64(count))
		end := uint32(0)
		for _, r := range run {
			if r.Count == 0 {
				continue
			}
			dst = binary.AppendUvarint(dst, uint64(r.First-end))
			dst = binary.AppendUvarint(dst, uint64(r.Count))
			end = r.First + r.Count
		}
	}
	return dst, nil
}

// leading returns as many ranges as one frame takes: how many of them are not empty, and the bytes that those need.
func leading(ranges []content.Range) (run []content.Range, count, size int) {
	end := uint32(0)
	for i, r := range ranges {
		if r.Count == 0 {
			continue
		}
		if count == MaxRanges || r.First < end {
			return ranges[:i], count, size
		}
		size += uvarintLen(uint64(r.First-end)) + uvarintLen(uint64(r.Count))
		end = r.First + r.Count
		count++
	}
	return ranges, count, size
}

// appendData writes the head: the length of the header, and for each piece three numbers.
func appendData(dst []byte, m Data) ([]byte, error) {
	if len(m.Pieces) == 0 || len(m.Pieces) > MaxPieces {
		return dst, fail(frameData, Misuse, "number of pieces")
	}
	header, payload := 0, 0
	for _, p := range m.Pieces {
		if _, wrong := p.check(); wrong != "" {
			return dst, fail(frameData, Misuse, wrong)
		}
		header += uvarintLen(uint64(p.Chunk)) + uvarintLen(uint64(p.Offset)) + uvarintLen(uint64(p.Length))
		if payload += int(p.Length); payload > MaxPayload {
			return dst, fail(frameData, Misuse, "payload")
		}
	}
	dst = appendHead(dst, frameData, uvarintLen(uint64(header))+header+payload)
	dst = binary.AppendUvarint(dst, uint64(header))
	for _, p := range m.Pieces {
		dst = binary.AppendUvarint(dst, uint64(p.Chunk))
		dst = binary.AppendUvarint(dst, uint64(p.Offset))
		dst = binary.AppendUvarint(dst, uint64(p.Length))
	}
	return dst, nil
}

// check says what is wrong with a piece, if anything.
func (p Piece) check() (k Kind, wrong string) {
	switch {
	case p.Chunk >= MaxChunks:
		return TooMany, "chunk number"
	case p.Length > MaxPayload:
		return TooBig, "piece"
	case p.Offset > MaxChunkSize || p.Length > MaxChunkSize-p.Offset:
		return TooBig, "end of a piece"
	case p.Length == 0 && p.Offset > 0:
		return Malformed, "empty piece inside a chunk"
	}
	return 0, ""
}

func uvarintLen(n uint64) int {
	l := 1
	for ; n >= 0x80; n >>= 7 {
		l++
	}
	return l
}
