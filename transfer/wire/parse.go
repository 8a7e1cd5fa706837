package wire

import (
	"unicode/utf8"

	"github.com/shoal-p2p/shoal/content"
)

// Parse reads the body of one frame, as it stands behind its length; for Data that is the payload too. What it returns
// points into body. Numbers must be in their shortest form, so a message has one form only, but for a hello's unknown
// fields. Errors are of type [*Error].
func Parse(body []byte) (Message, error) {
	var p parser
	return p.parse(body)
}

// parser holds what one message after another is read into.
type parser struct {
	ranges []content.Range
	blocks [][]byte
	peers  []Peer
	pieces []Piece
	data   Data    // the last one, and the same as a Message: a second one like it needs no memory
	boxed  Message // of data
}

func (p *parser) parse(body []byte) (Message, error) {
	if len(body) == 0 {
		return nil, fail(0, Malformed, "empty frame")
	}
	f := frame(body[0])
	if !f.known() {
		return nil, fail(0, Version, "frame type")
	}
	if len(body) > f.most() {
		return nil, fail(f, TooBig, "size")
	}
	in := input{f: f, b: body[1:]}
	m := p.fields(&in)
	if in.err == nil && len(in.b) > 0 {
		in.fail(Malformed, "bytes behind the end")
	}
	if in.err != nil {
		return nil, in.err
	}
	return m, nil
}

// fields reads what stands behind the type. What it returns counts only if in has no error.
func (p *parser) fields(in *input) Message {
	switch in.f {
	case frameHello:
		return in.hello()
	case frameTreeAsk:
		return TreeAsk{in.number("skip", MaxChunks, TooMany)}
	case frameNodes:
		return Nodes{p.readBlocks(in)}
	case frameNodesEnd:
		return NodesEnd{}
	case frameHave:
		return Have{p.readRanges(in)}
	case frameWant:
		return Want{p.readRanges(in)}
	case frameCancel:
		return Cancel{p.readRanges(in)}
	case frameSeek:
		return Seek{p.readRanges(in)}
	case frameComing:
		return Coming{p.readRanges(in)}
	case frameOffer:
		return Offer{p.readRanges(in)}
	case frameGot:
		return Got{in.number("bytes", MaxGot, TooBig)}
	case framePeers:
		return Peers{p.readPeers(in)}
	case frameData:
		header := in.bytes(int(in.number("header", MaxControl, TooBig)), "header")
		payload := len(in.b)
		in.b = nil
		return p.readPieces(in, header, payload)
	case frameCannot:
		code := in.code(Code.cannot)
		return Cannot{code, p.readRanges(in)}
	default:
		return Bye{in.code(Code.bye)}
	}
}

func (p *parser) readRanges(in *input) []content.Range {
	count := in.number("number of ranges", MaxRanges, TooMany)
	p.ranges = p.ranges[:0]
	end := uint32(0)
	for range count {
		first := end + in.number("distance", MaxChunks, TooMany)
		n := in.number("length of a range", MaxChunks, TooMany)
		switch {
		case in.err != nil:
			return nil
		case n == 0:
			in.fail(Malformed, "empty range")
			return nil
		case first >= MaxChunks || n > MaxChunks-first:
			in.fail(TooMany, "chunk number")
			return nil
		}
		end = first + n
		p.ranges = append(p.ranges, content.Range{First: first, Count: n})
	}
	return p.ranges
}

func (p *parser) readBlocks(in *input) [][]byte {
	count := in.number("number of blocks", MaxBlocks, TooMany)
	p.blocks = p.blocks[:0]
	for range count {
		b := in.bytes(int(in.number("block", MaxBlock, TooBig)), "block")
		if in.err != nil {
			return nil
		}
		p.blocks = append(p.blocks, b)
	}
	return p.blocks
}

// readPieces reads the header of a Data frame that has this many bytes of payload.
func (p *parser) readPieces(in *input, header []byte, payload int) Message {
	if in.err != nil {
		return nil
	}
	head := input{f: frameData, b: header}
	p.pieces = p.pieces[:0]
	sum := 0
	for len(head.b) > 0 && head.err == nil {
		if len(p.pieces) == MaxPieces {
			head.fail(TooMany, "pieces")
			break
		}
		piece := Piece{
			Chunk:  head.number("chunk number", MaxChunks-1, TooMany),
			Offset: head.number("offset", MaxChunkSize, TooBig),
			Length: head.number("piece", MaxPayload, TooBig),
		}
		if k, wrong := piece.check(); wrong != "" {
			head.fail(k, wrong)
		}
		sum += int(piece.Length)
		p.pieces = append(p.pieces, piece)
	}
	switch {
	case head.err != nil:
		in.err = head.err
	case len(p.pieces) == 0:
		in.fail(Malformed, "no pieces")
	case sum > MaxPayload:
		in.fail(TooBig, "payload")
	case sum != payload:
		in.fail(Malformed, "payload and pieces differ")
	}
	if in.err != nil {
		return nil
	}
	return p.box()
}

// box returns the pieces as a Message. Nearly all Data frames have as many pieces as the one before, in the same place.
func (p *parser) box() Message {
	same := len(p.data.Pieces) == len(p.pieces) && &p.data.Pieces[0] == &p.pieces[0]
	if !same {
		p.data = Data{p.pieces}
		p.boxed = p.data
	}
	return p.boxed
}

// input is the rest of a body and the first thing found wrong with it, after which it yields nothing but zeros.
type input struct {
	f   frame
	b   []byte
	err error
}

func (in *input) fail(k Kind, what string) {
	if in.err == nil {
		in.err = fail(in.f, k, what)
	}
	in.b = nil
}

// number reads a varint in its shortest form. One above most is wrong in the way that over says.
func (in *input) number(what string, most uint32, over Kind) uint32 {
	if in.err != nil {
		return 0
	}
	n, size := uvarint(in.b)
	switch {
	case size == 0:
		in.fail(Malformed, what+" cut short")
		return 0
	case size < 0:
		in.fail(Malformed, what+" too long or not in its shortest form")
		return 0
	case n > most:
		in.fail(over, what)
		return 0
	}
	in.b = in.b[size:]
	return n
}

// uvarint reads a number of at most 28 bits, more than any limit here: its size is 0 if b ends too early and negative if no
// such number stands there in its shortest form.
func uvarint(b []byte) (n uint32, size int) {
	for i, c := range b[:min(len(b), 4)] {
		n |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			if c == 0 && i > 0 {
				return 0, -1
			}
			return n, i + 1
		}
	}
	if len(b) < 4 {
		return 0, 0
	}
	return 0, -1
}

func (in *input) bytes(n int, what string) []byte {
	if in.err == nil && n > len(in.b) {
		in.fail(Malformed, what+" cut short")
	}
	if in.err != nil {
		return nil
	}
	b := in.b[:n:n]
	in.b = in.b[n:]
	return b
}

func (in *input) code(ok func(Code) bool) Code {
	b := in.bytes(1, "code")
	if in.err != nil {
		return 0
	}
	if c := Code(b[0]); ok(c) {
		return c
	}
	in.fail(Version, "code")
	return 0
}

// hello reads fields with ascending tags. Odd tags that it does not know are skipped, even ones refused.
func (in *input) hello() Hello {
	var m Hello
	next := uint32(0)
	for n := 0; len(in.b) > 0; n++ {
		if n == MaxFields {
			in.fail(TooMany, "fields")
			break
		}
		tag := in.number("tag", maxTag, Version)
		value := in.bytes(int(in.number("field", MaxHello, TooBig)), "field")
		if in.err != nil {
			break
		}
		if tag < next {
			in.fail(Malformed, "order of fields")
			break
		}
		next = tag + 1
		switch {
		case tag == fieldRoot:
			root, err := content.DecodeCID(value)
			if err != nil {
				in.fail(Malformed, "root")
			}
			m.Root = root
		case tag == fieldName:
			if len(value) > MaxName {
				in.fail(TooBig, "name")
			} else if len(value) == 0 || !utf8.Valid(value) {
				in.fail(Malformed, "name")
			}
			m.Name = string(value)
		case tag == fieldSession:
			if m.Session = sessionNumber(value); m.Session == 0 {
				in.fail(Malformed, "session")
			}
		case tag == fieldUnlisted:
			if m.Unlisted = true; len(value) > 0 {
				in.fail(Malformed, "unlisted")
			}
		case tag == fieldProof:
			if copy(m.Proof[:], value); len(value) != len(m.Proof) || m.Proof == (Proof{}) {
				in.fail(Malformed, "proof")
			}
		case tag%2 == 0:
			in.fail(Version, "required field")
		}
	}
	if in.err == nil && !m.Root.Defined() {
		in.fail(Malformed, "no root")
	}
	return m
}
