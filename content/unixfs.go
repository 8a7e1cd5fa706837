package content

import "encoding/binary"

// The data of UnixFS nodes (https://specs.ipfs.tech/unixfs/): a protobuf message inside of a dag-pb node.

// fsKind is the type of a UnixFS node.
type fsKind uint64

const (
	fsRaw fsKind = iota
	fsDirectory
	fsFile
	fsMetadata
	fsSymlink
	fsShard
)

// Tags of protobuf fields.
const (
	tagType      = 1 << 3
	tagData      = 2<<3 | 2
	tagFileSize  = 3 << 3
	tagBlockSize = 4 << 3
	tagPacked    = 4<<3 | 2 // the same, as some writers put it: all in one field
	tagHashType  = 5 << 3
	tagFanout    = 6 << 3
	tagMode      = 7 << 3
	tagTime      = 8<<3 | 2
)

// fsNode is the data of a node. Mode and time are no part of content for us, and are passed over.
type fsNode struct {
	kind     fsKind
	data     []byte // target of a symbolic link, bitfield of a shard, bytes of a file
	fileSize uint64
	hasSize  bool
	sizes    []uint64 // bytes of the file below each link
	hashType uint64
	fanout   uint64
}

// parseData reads the data of a node that has the given number of links. No more sizes than that are taken.
func parseData(b []byte, links int) (fsNode, error) {
	var n fsNode
	seen := 0
	for first := true; len(b) > 0; first = false {
		tag := b[0]
		var body []byte
		var v uint64
		var size int
		var err error
		if tag&7 == 2 {
			body, size, err = takeBytes(b[1:])
		} else {
			v, size, err = takeUvarint(b[1:])
		}
		if err != nil {
			return fsNode{}, err
		}
		b = b[1+size:]
		if first != (tag == tagType) {
			return fsNode{}, badNode("the type is not what its data begins with")
		}
		if tag != tagBlockSize {
			if seen&(1<<(tag>>3)) != 0 {
				return fsNode{}, badNode("field %#x is there twice in its data", tag)
			}
			seen |= 1 << (tag >> 3)
		}
		switch tag {
		case tagType:
			n.kind = fsKind(v)
		case tagData:
			n.data = body
		case tagFileSize:
			n.fileSize, n.hasSize = v, true
		case tagBlockSize:
			err = n.addSize(v, links)
		case tagPacked:
			err = n.addSizes(body, links)
		case tagHashType:
			n.hashType = v
		case tagFanout:
			n.fanout = v
		case tagMode, tagTime:
		default:
			err = badNode("field %#x in its data is unknown", tag)
		}
		if err != nil {
			return fsNode{}, err
		}
	}
	if seen == 0 {
		return fsNode{}, badNode("it has no UnixFS data")
	}
	return n, nil
}

func (n *fsNode) addSize(v uint64, links int) error {
	if len(n.sizes) == links {
		return badNode("more sizes than links")
	}
	if n.sizes == nil {
		n.sizes = make([]uint64, 0, links)
	}
	n.sizes = append(n.sizes, v)
	return nil
}

func (n *fsNode) addSizes(packed []byte, links int) error {
	for len(packed) > 0 {
		v, size, err := takeUvarint(packed)
		if err != nil {
			return err
		}
		if err := n.addSize(v, links); err != nil {
			return err
		}
		packed = packed[size:]
	}
	return nil
}

// append appends the data, its fields in the order in which everyone writes them.
func (n *fsNode) append(b []byte) []byte {
	b = append(b, tagType, byte(n.kind))
	if n.data != nil {
		b = append(b, tagData)
		b = binary.AppendUvarint(b, uint64(len(n.data)))
		b = append(b, n.data...)
	}
	if n.hasSize {
		b = append(b, tagFileSize)
		b = binary.AppendUvarint(b, n.fileSize)
	}
	for _, s := range n.sizes {
		b = append(b, tagBlockSize)
		b = binary.AppendUvarint(b, s)
	}
	if n.kind == fsShard {
		b = append(b, tagHashType)
		b = binary.AppendUvarint(b, n.hashType)
		b = append(b, tagFanout)
		b = binary.AppendUvarint(b, n.fanout)
	}
	return b
}
