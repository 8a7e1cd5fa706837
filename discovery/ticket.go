package discovery

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/content"
)

// Ticket says what can be had from whom, and where.
//
// Its text is "shoal", the version, and in base32 a list of fields and the first four bytes of their SHA-256. Each field is a
// tag, a length (both unsigned varints) and as many bytes; tags do not descend. A reader skips odd tags that it does not
// know, and refuses a ticket with even ones. A ticket has one text only, but for upper and lower case.
type Ticket struct {
	Root  cid.Cid
	Peer  peer.ID
	Addrs []ma.Multiaddr // without /p2p/
	Name  string         // what the root is called where it is shared: a safe path component, or empty
}

// ErrTicket is behind every error of ParseTicket.
var ErrTicket = errors.New("bad ticket")

const (
	ticketPrefix = "shoal"
	ticketOne    = ticketPrefix + "1"
	checkSize    = 4 // bytes

	fieldRoot = 0
	fieldName = 1
	fieldPeer = 2
	fieldAddr = 3 // may repeat
)

// base32 survives being read aloud, and QR codes hold it densely in upper case.
var ticketText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// IsTicket reports whether s means to be a ticket, of whatever version, good or bad.
func IsTicket(s string) bool {
	if len(s) <= len(ticketPrefix) || !strings.EqualFold(s[:len(ticketPrefix)], ticketPrefix) {
		return false
	}
	return s[len(ticketPrefix)] >= '0' && s[len(ticketPrefix)] <= '9'
}

// String returns the ticket's text. Of the addresses it takes the MaxAddrs best, and it leaves out a name that is not safe
// to create a file with. A ticket without root or peer has no text.
func (t Ticket) String() string {
	if !t.Root.Defined() || t.Peer == "" {
		return ""
	}
	b := appendField(nil, fieldRoot, t.Root.Bytes())
	if name := safeName(t.Name); name != "" {
		b = appendField(b, fieldName, []byte(name))
	}
	b = appendField(b, fieldPeer, []byte(t.Peer))
	for _, a := range best(t.Peer, t.Addrs) {
		b = appendField(b, fieldAddr, a.Bytes())
	}
	return ticketOne + ticketText.EncodeToString(append(b, check(b)...))
}

func appendField(dst []byte, tag uint64, value []byte) []byte {
	dst = binary.AppendUvarint(dst, tag)
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

func check(b []byte) []byte {
	sum := sha256.Sum256(append([]byte(ticketOne), b...))
	return sum[:checkSize]
}

func safeName(s string) string {
	name, err := content.ParseName(s)
	if err != nil {
		return ""
	}
	return name.String()
}

// ParseTicket reads a ticket. Addresses at which no peer can be, that belong to another peer, or that are of a kind which
// this version does not know, are left out; so is a name that this system could not create. The error is an ErrTicket and
// holds nothing of s.
func ParseTicket(s string) (Ticket, error) {
	if len(s) > MaxTicket {
		return Ticket{}, badTicket("longer than any ticket")
	}
	s = strings.ToLower(strings.TrimSpace(s))
	if !IsTicket(s) {
		return Ticket{}, badTicket("does not begin with " + ticketOne)
	}
	text, one := strings.CutPrefix(s, ticketOne)
	if !one {
		return Ticket{}, badTicket("made by a version of Shoal that this one does not understand")
	}
	b, err := ticketText.DecodeString(text)
	if err != nil || ticketText.EncodeToString(b) != text {
		return Ticket{}, badTicket("has characters that no ticket has")
	}
	if len(b) <= checkSize {
		return Ticket{}, badTicket("cut short")
	}
	fields, sum := b[:len(b)-checkSize], b[len(b)-checkSize:]
	if string(check(fields)) != string(sum) {
		return Ticket{}, badTicket("mistyped or cut short: the checksum does not fit")
	}
	return parseFields(fields)
}

func badTicket(what string) error { return fmt.Errorf("%w: %s", ErrTicket, what) }

func parseFields(b []byte) (Ticket, error) {
	var t Ticket
	var addrs []ma.Multiaddr
	last := uint64(0)
	for n := 0; len(b) > 0; n++ {
		tag, value, rest, ok := cutField(b)
		if !ok || n == maxFields || n > 0 && (tag < last || tag == last && tag != fieldAddr) {
			return Ticket{}, badTicket("its fields are out of order")
		}
		b, last = rest, tag
		switch {
		case tag == fieldRoot:
			root, err := content.DecodeCID(value)
			if err != nil {
				return Ticket{}, badTicket("its content ID is of a kind that Shoal does not use")
			}
			t.Root = root
		case tag == fieldName:
			t.Name = safeName(string(value))
		case tag == fieldPeer:
			id, err := peer.IDFromBytes(value)
			if err != nil || len(value) > maxPeerID {
				return Ticket{}, badTicket("its peer ID is none")
			}
			t.Peer = id
		case tag == fieldAddr:
			if a, err := ma.NewMultiaddrBytes(value); err == nil {
				addrs = append(addrs, a)
			}
		case tag%2 == 0:
			return Ticket{}, badTicket("made by a version of Shoal that this one does not understand")
		}
	}
	if !t.Root.Defined() || t.Peer == "" {
		return Ticket{}, badTicket("names no content or no peer")
	}
	t.Addrs = best(t.Peer, addrs)
	return t, nil
}

func cutField(b []byte) (tag uint64, value, rest []byte, ok bool) {
	tag, n := uvarint(b)
	if n <= 0 {
		return 0, nil, nil, false
	}
	b = b[n:]
	size, n := uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return 0, nil, nil, false
	}
	b = b[n:]
	return tag, b[:size], b[size:], true
}

// uvarint takes numbers in their shortest form only.
func uvarint(b []byte) (uint64, int) {
	v, n := binary.Uvarint(b)
	if n > 1 && b[n-1] == 0 {
		return 0, -1
	}
	return v, n
}
