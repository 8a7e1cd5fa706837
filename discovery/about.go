package discovery

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
)

// About is what a node says of itself when a neighbour asks: on a stream of AboutProtocol, the asker closes its side without a
// word, and the other one writes a single message and closes, too.
//
//	message  length of the body, body
//	body     version (1), name, clock, number of shares listed beyond these, number of shares, shares
//	share    content ID, name, bytes, files
//
// Numbers are unsigned varints in their shortest form; names and content IDs have their length in bytes before them; the clock
// is in seconds since 1970.
type About struct {
	Name   string    // what its owner calls the node; at most MaxNodeName bytes
	Clock  time.Time // to the second
	Listed []Listed  // what it chose to list; at most MaxListed
	More   int       // shares that it lists beyond those
}

// Listed is one share that a node lets its neighbours see.
type Listed struct {
	Root  cid.Cid
	Name  string // unchecked, may be empty; at most maxListedName bytes
	Bytes int64
	Files int
}

// AboutProtocol is the stream protocol.
const AboutProtocol = "/shoal/about/1"

const aboutVersion = 1

// ErrAbout says that what a neighbour said of itself is not understood.
var ErrAbout = errors.New("not what a node says of itself")

// CheckNodeName says why a text cannot be the name of a node, in words for the user; nil if it can.
func CheckNodeName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return errors.New("it is empty")
	case len(name) > MaxNodeName:
		return fmt.Errorf("it has %d bytes, and %d is the most", len(name), MaxNodeName)
	case content.Printable(name) != name:
		return errors.New("it has characters that do not show, or is not UTF-8")
	}
	return nil
}

// CleanNodeName makes a text that nobody checked, like the name of a machine, into one that can be the name of a node. It is
// empty if nothing is left.
func CleanNodeName(name string) string {
	name = strings.TrimSpace(content.Printable(name))
	for len(name) > MaxNodeName {
		_, size := utf8.DecodeLastRuneInString(name)
		name = strings.TrimSpace(name[:len(name)-size])
	}
	return name
}

// Append adds the message to dst. What goes beyond the limits is left out: shares beyond MaxListed are only counted, and a name
// that is too long is not said.
func (a About) Append(dst []byte) []byte {
	name := a.Name
	if CheckNodeName(name) != nil {
		name = ""
	}
	shown := a.Listed[:min(len(a.Listed), MaxListed)]
	b := appendText([]byte{aboutVersion}, name)
	b = binary.AppendUvarint(b, uint64(max(0, a.Clock.Unix())))
	b = binary.AppendUvarint(b, uint64(a.More+len(a.Listed)-len(shown)))
	b = binary.AppendUvarint(b, uint64(len(shown)))
	for _, l := range shown {
		name := l.Name
		if len(name) > maxListedName || !utf8.ValidString(name) {
			name = ""
		}
		b = appendText(appendText(b, string(l.Root.Bytes())), name)
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(l.Bytes)), uint64(l.Files))
	}
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// ReadAbout reads one message, with its length, and no more than MaxAbout bytes.
func ReadAbout(r io.Reader) (About, error) {
	length, err := binary.ReadUvarint(oneByOne{r})
	switch {
	case err != nil:
		return About{}, fmt.Errorf("%w: %w", ErrAbout, err)
	case length > MaxAbout:
		return About{}, fmt.Errorf("%w: %d bytes, and %d is the most", ErrAbout, length, MaxAbout)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return About{}, fmt.Errorf("%w: %w", ErrAbout, err)
	}
	return ParseAbout(body)
}

// oneByOne reads no further than it is asked to.
type oneByOne struct{ io.Reader }

func (r oneByOne) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(r, b[:])
	return b[0], err
}

// ParseAbout reads the body of a message: all of it, nothing behind it. The error is ErrAbout.
func ParseAbout(body []byte) (About, error) {
	f := fields{rest: body}
	if f.number(math.MaxUint8) != aboutVersion {
		return About{}, fmt.Errorf("%w: version", ErrAbout)
	}
	a := About{Name: f.text(MaxNodeName)}
	if a.Name != "" && CheckNodeName(a.Name) != nil {
		f.bad = true
	}
	a.Clock = time.Unix(int64(f.number(maxClock)), 0)
	a.More = int(f.number(math.MaxInt32))
	for n := f.number(MaxListed); n > 0 && !f.bad; n-- {
		root, err := content.DecodeCID([]byte(f.text(maxRoot)))
		f.bad = f.bad || err != nil
		a.Listed = append(a.Listed, Listed{
			Root: root, Name: f.text(maxListedName), Bytes: int64(f.number(math.MaxInt64)), Files: int(f.number(math.MaxInt32)),
		})
	}
	if f.bad || len(f.rest) > 0 {
		return About{}, ErrAbout
	}
	return a, nil
}

// fields reads numbers and strings one after the other. After the first one that is not there, all others are zero.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) number(most uint64) uint64 {
	v, n := uvarint(f.rest)
	if f.bad || n <= 0 || v > most {
		f.bad = true
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

// text reads UTF-8, or a content ID, of at most most bytes.
func (f *fields) text(most int) string {
	n := int(f.number(uint64(most)))
	if f.bad || n > len(f.rest) {
		f.bad = true
		return ""
	}
	s := string(f.rest[:n])
	f.rest = f.rest[n:]
	return s
}
