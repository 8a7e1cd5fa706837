package content

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// The dag-pb format (https://ipld.io/specs/codecs/dag-pb/spec/), read and written on the bytes themselves: a node of a thousand
// links is looked at link by link, and nothing is kept of it but what the tree needs. The tests hold this against
// go-codec-dagpb. Where that is lenient we are not: a link's CID must be all of its field, and varints must be minimal.

// ErrNode says that a block is no sound node of a UnixFS tree.
var ErrNode = errors.New("malformed node")

func badNode(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrNode}, args...)...)
}

// Tags of protobuf fields: number<<3, and 2 for bytes or 0 for a varint.
const (
	tagNodeData  = 1<<3 | 2
	tagNodeLink  = 2<<3 | 2
	tagLinkHash  = 1<<3 | 2
	tagLinkName  = 2<<3 | 2
	tagLinkTsize = 3 << 3
)

// pbNode is a node that has been cut into its two parts.
type pbNode struct {
	links []byte // fields of links, nothing else
	count int    // how many
	data  []byte
}

// pbLink is one link. Its name points into the block.
type pbLink struct {
	ref      ref
	name     []byte
	tsize    uint64
	hasTsize bool
}

// parseNode cuts a node in two. Links may come before the data, as they are to be written, or after it.
func parseNode(b []byte) (pbNode, error) {
	var n pbNode
	hasData, ended := false, false
	start := 0
	for at := 0; at < len(b); {
		body, size, err := takeBytes(b[at+1:])
		if err != nil {
			return pbNode{}, err
		}
		switch {
		case b[at] == tagNodeData && !hasData:
			hasData, ended = true, n.count > 0
			n.data = body
		case b[at] == tagNodeLink && !ended:
			if n.count == 0 {
				start = at
			}
			n.count++
			n.links = b[start : at+1+size]
		default:
			return pbNode{}, badNode("field %#x where it cannot be", b[at])
		}
		at += 1 + size
	}
	return n, nil
}

// each visits every link until one is refused.
func (n pbNode) each(visit func(pbLink) error) error {
	for links := n.links; len(links) > 0; {
		l, rest, err := nextLink(links)
		if err == nil {
			err = visit(l)
		}
		if err != nil {
			return err
		}
		links = rest
	}
	return nil
}

// nextLink takes the first link off what parseNode returned.
func nextLink(links []byte) (l pbLink, rest []byte, err error) {
	b, size, err := takeBytes(links[1:])
	if err != nil {
		return pbLink{}, nil, err
	}
	rest = links[1+size:]
	if len(b) == 0 || b[0] != tagLinkHash {
		return pbLink{}, nil, badNode("a link without a CID")
	}
	hash, size, err := takeBytes(b[1:])
	if err != nil {
		return pbLink{}, nil, err
	}
	if l.ref, err = decodeRef(hash); err != nil {
		return pbLink{}, nil, badNode("a link: %w", err)
	}
	if b = b[1+size:]; len(b) > 0 && b[0] == tagLinkName {
		if l.name, size, err = takeBytes(b[1:]); err != nil {
			return pbLink{}, nil, err
		}
		b = b[1+size:]
	}
	if len(b) > 0 && b[0] == tagLinkTsize {
		if l.tsize, size, err = takeUvarint(b[1:]); err != nil {
			return pbLink{}, nil, err
		}
		l.hasTsize = true
		b = b[1+size:]
	}
	if len(b) > 0 {
		return pbLink{}, nil, badNode("field %#x in a link where it cannot be", b[0])
	}
	return l, rest, nil
}

// takeBytes reads a length and as many bytes. size counts both.
func takeBytes(b []byte) (body []byte, size int, err error) {
	length, n, err := takeUvarint(b)
	if err != nil {
		return nil, 0, err
	}
	if length > uint64(len(b)-n) {
		return nil, 0, badNode("a field ends beyond its block")
	}
	size = n + int(length)
	return b[n:size:size], size, nil
}

func takeUvarint(b []byte) (v uint64, size int, err error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, 0, badNode("a number is cut off, too large or padded")
	}
	return v, n, nil
}

func uvarintSize(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// fieldSize is the size of a field of n bytes with its tag and length.
func fieldSize(n int) int { return 1 + uvarintSize(uint64(n)) + n }

// linkBody is the size of a link without the tag and length before it.
func linkBody(r ref, name int, tsize uint64) int {
	return fieldSize(r.size()) + fieldSize(name) + 1 + uvarintSize(tsize)
}

// appendLink appends a link whose name is prefix and name.
func appendLink(b []byte, r ref, prefix, name string, tsize uint64) []byte {
	b = append(b, tagNodeLink)
	b = binary.AppendUvarint(b, uint64(linkBody(r, len(prefix)+len(name), tsize)))
	b = append(b, tagLinkHash, byte(r.size()))
	b = r.append(b)
	b = append(b, tagLinkName)
	b = binary.AppendUvarint(b, uint64(len(prefix)+len(name)))
	b = append(b, prefix...)
	b = append(b, name...)
	b = append(b, tagLinkTsize)
	return binary.AppendUvarint(b, tsize)
}

// appendData appends a node's data, which comes behind its links.
func appendData(b, data []byte) []byte {
	b = append(b, tagNodeData)
	b = binary.AppendUvarint(b, uint64(len(data)))
	return append(b, data...)
}
