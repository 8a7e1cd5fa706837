package wire

import (
	"bufio"
	"io"
)

// Reader reads the messages of one direction of one stream, from its start. It keeps the order that the protocol asks for:
// the first message is a Hello or a Bye, no later one is a Hello, and none follows a Bye.
//
// A Reader is for one goroutine. It sets no deadlines; whoever owns the stream does.
type Reader struct {
	src    *source
	buf    *bufio.Reader
	parser parser
	body   []byte // of a frame larger than buf
	left   int    // bytes of the last Data's payload that nobody has read
	empty  int    // frames in a row that said nothing
	begun  bool   // there was a Hello
	ended  bool   // there was a Bye
}

// NewReader returns a Reader of a stream that nothing has been read from.
func NewReader(r io.Reader) *Reader {
	src := &source{r: r}
	return &Reader{src: src, buf: bufio.NewReaderSize(src, MaxControl)}
}

// source takes no more from the stream at once than it is told to.
type source struct {
	r    io.Reader
	most int
}

func (s *source) Read(p []byte) (int, error) {
	if len(p) > s.most {
		p = p[:s.most]
	}
	return s.r.Read(p)
}

// Next returns the next message, after passing over what is left of the last one's payload. A message and all that it
// points to are valid until the following call. At the end of the stream, between two frames or after a Bye, the error is
// io.EOF; within a frame io.ErrUnexpectedEOF. What the peer did wrong is an [*Error]; other errors are the stream's own.
// After an error there is nothing more to read.
func (r *Reader) Next() (Message, error) {
	if err := r.Discard(r.left); err != nil {
		return nil, err
	}
	if r.ended {
		return nil, io.EOF
	}
	for {
		n, err := r.length()
		if err != nil {
			return nil, err
		}
		m, err := r.message(n)
		if err != nil {
			return nil, err
		}
		if r.empty++; says(m) {
			r.empty = 0
		}
		if r.empty > MaxEmpty {
			return nil, fail(0, TooMany, "empty frames in a row")
		}
		if m == nil {
			continue
		}
		return m, r.turn(m)
	}
}

// says reports whether a message has anything in it.
func says(m Message) bool {
	switch m := m.(type) {
	case nil:
		return false
	case Nodes:
		return len(m.Blocks) > 0
	case Have:
		return len(m.Ranges) > 0
	case Want:
		return len(m.Ranges) > 0
	case Cancel:
		return len(m.Ranges) > 0
	case Cannot:
		return len(m.Ranges) > 0
	case Seek:
		return len(m.Ranges) > 0
	case Coming:
		return len(m.Ranges) > 0
	case Got:
		return m.Bytes > 0
	case Peers:
		return len(m.Peers) > 0
	}
	return true
}

// turn checks that a message may stand where it does.
func (r *Reader) turn(m Message) error {
	switch m.(type) {
	case Hello:
		if r.begun {
			return fail(frameHello, OutOfTurn, "second one")
		}
		r.begun = true
	case Bye:
		r.ended = true
	default:
		if !r.begun {
			return fail(m.frame(), OutOfTurn, "before the hello")
		}
	}
	return nil
}

// length reads how long the next frame is.
func (r *Reader) length() (int, error) {
	r.src.most = headRead
	for size := 1; ; size++ {
		b, err := r.buf.Peek(size)
		if len(b) < size {
			if err == io.EOF && size > 1 {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		n, used := uvarint(b)
		if used < 0 {
			return 0, fail(0, Malformed, "length")
		}
		if used == 0 {
			continue
		}
		r.buf.Discard(used)
		if n > maxFrame {
			return 0, fail(0, TooBig, "frame")
		}
		return int(n), nil
	}
}

// message reads a frame of n bytes, for Data without the payload. For a frame of none it returns nil.
func (r *Reader) message(n int) (Message, error) {
	if n == 0 {
		return nil, nil
	}
	first, err := r.peek(1)
	if err != nil {
		return nil, err
	}
	f := frame(first[0])
	switch {
	case !f.known():
		return nil, fail(0, Version, "frame type")
	case n > f.most():
		return nil, fail(f, TooBig, "size")
	case f == frameData:
		return r.data(n)
	case n > MaxControl:
		body, err := r.large(n)
		if err != nil {
			return nil, err
		}
		return r.parser.parse(body)
	}
	r.body, r.parser.blocks = nil, nil // the tree, if there was one, is through
	body, err := r.peek(n)
	if err != nil {
		return nil, err
	}
	m, err := r.parser.parse(body)
	r.buf.Discard(n) // what body points to stays as it is until the buffer is read from again
	return m, err
}

// peek returns the next n bytes, which must come: they belong to a frame that has begun.
func (r *Reader) peek(n int) ([]byte, error) {
	b, err := r.buf.Peek(n)
	if len(b) < n {
		return nil, cut(err)
	}
	return b, nil
}

func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// data reads the head of a Data frame of n bytes.
func (r *Reader) data(n int) (Message, error) {
	head, short := r.buf.Peek(min(n, 1+maxLengthBytes))
	in := input{f: frameData, b: head[1:]}
	header := int(in.number("header", MaxControl, TooBig))
	if in.err != nil {
		if short != nil {
			return nil, cut(short)
		}
		return nil, in.err
	}
	before := len(head) - len(in.b)
	if header > n-before {
		return nil, fail(frameData, Malformed, "header cut short")
	}
	r.buf.Discard(before)
	b, err := r.peek(header)
	if err != nil {
		return nil, err
	}
	payload := n - before - header
	m := r.parser.readPieces(&in, b, payload)
	if in.err != nil {
		return nil, in.err
	}
	r.buf.Discard(header)
	r.left = payload
	return m, nil
}

// large reads a body that does not fit into the buffer, and makes room for it only as it comes.
func (r *Reader) large(n int) ([]byte, error) {
	body := r.body[:0]
	if cap(body) < firstRead {
		body = make([]byte, 0, firstRead)
	}
	for len(body) < n {
		if len(body) == cap(body) {
			bigger := make([]byte, len(body), min(n, 2*cap(body)))
			copy(bigger, body)
			body = bigger
		}
		from := len(body)
		body = body[:min(n, cap(body))]
		if err := r.read(body[from:]); err != nil {
			return nil, err
		}
	}
	r.body = body
	return body, nil
}

// Payload fills p with the next bytes of the last Data's payload. The caller takes the pieces in order, in as many calls as
// it likes; more than is left is an error of the kind Misuse. Large pieces go from the stream into p without a stop in
// between.
func (r *Reader) Payload(p []byte) error {
	if len(p) > r.left {
		return fail(frameData, Misuse, "more than the payload")
	}
	if err := r.read(p); err != nil {
		return err
	}
	r.left -= len(p)
	return nil
}

// Discard passes over the next n bytes of the last Data's payload.
func (r *Reader) Discard(n int) error {
	if n < 0 || n > r.left {
		return fail(frameData, Misuse, "more than the payload")
	}
	r.src.most = MaxControl
	got, err := r.buf.Discard(n)
	r.left -= got
	return cut(err)
}

// read fills p, past the buffer when p is large.
func (r *Reader) read(p []byte) error {
	n := min(len(p), r.buf.Buffered())
	if _, err := io.ReadFull(r.buf, p[:n]); err != nil {
		return cut(err)
	}
	p = p[n:]
	var err error
	if len(p) >= directRead {
		_, err = io.ReadFull(r.src.r, p)
	} else {
		r.src.most = MaxControl
		_, err = io.ReadFull(r.buf, p)
	}
	return cut(err)
}
