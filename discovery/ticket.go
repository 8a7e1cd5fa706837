package discovery

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"time"

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
//
// It is a capability: whoever has the text may do what it says. So it comes out of Text alone; printed or logged in any other
// way, a ticket tells its root.
type Ticket struct {
	Root   cid.Cid
	Peer   peer.ID
	Addrs  []ma.Multiaddr // without /p2p/
	Name   string         // what the root is called where it is shared: a safe path component, or empty
	Secret content.Secret // of a private root; zero for one that everybody may have
	Until  time.Time      // in whole seconds; from then on nobody may use the ticket. Zero: no end
	Keep   bool           // whoever fetches with it is to give nothing on: the root is for chosen peers
	Size   int64          // of all files in bytes, as its maker says; zero if it says nothing
}

// ErrTicket is behind every error of ParseTicket.
var ErrTicket = errors.New("bad ticket")

const (
	ticketPrefix = "shoal"
	ticketOne    = ticketPrefix + "1"
	checkSize    = 4 // bytes

	fieldRoot   = 0
	fieldName   = 1
	fieldPeer   = 2
	fieldAddr   = 3  // may repeat
	fieldSecret = 4  // content.SecretSize bytes
	fieldUntil  = 6  // seconds since 1970, an unsigned varint
	fieldKeep   = 8  // nothing
	fieldSize   = 11 // bytes, an unsigned varint

	lastUntil = 253402300799 // the end of the year 9999, the last that RFC 3339 can write
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

// ticketInText finds what may be a ticket in a text, and is as wide as that can be: the head of a cut one holds the secret too.
var ticketInText = regexp.MustCompile(`(?i)` + ticketPrefix + `[0-9][a-z0-9]{4,}`)

// Redact takes every ticket out of a text that goes to a screen or a log: errors quote what was typed.
func Redact(text string) string { return ticketInText.ReplaceAllString(text, ticketPrefix+"…") }

// String tells a ticket from others, without its secrets.
func (t Ticket) String() string { return fmt.Sprintf("ticket for %v", t.Root) }

// Format is String, whatever the verb.
func (t Ticket) Format(f fmt.State, _ rune) { io.WriteString(f, t.String()) }

// MarshalText is String, for JSON and logs.
func (t Ticket) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Expired reports whether the ticket is of no more use.
func (t Ticket) Expired(now time.Time) bool { return !t.Until.IsZero() && !now.Before(t.Until) }

// Text returns what is passed on. Of the addresses it takes the MaxAddrs best, and it leaves out a name that is not safe
// to create a file with. A ticket without root or peer has no text.
func (t Ticket) Text() string {
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
	if !t.Secret.IsZero() {
		b = appendField(b, fieldSecret, t.Secret.Reveal())
	}
	if !t.Until.IsZero() {
		b = appendField(b, fieldUntil, binary.AppendUvarint(nil, uint64(min(max(t.Until.Unix(), 1), lastUntil))))
	}
	if t.Keep {
		b = appendField(b, fieldKeep, nil)
	}
	if t.Size > 0 {
		b = appendField(b, fieldSize, binary.AppendUvarint(nil, uint64(t.Size)))
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
	last := uint64(0)
	for n := 0; len(b) > 0; n++ {
		tag, value, rest, ok := cutField(b)
		if !ok || n == maxFields || n > 0 && (tag < last || tag == last && tag != fieldAddr) {
			return Ticket{}, badTicket("its fields are out of order")
		}
		b, last = rest, tag
		if err := t.take(tag, value); err != nil {
			return Ticket{}, err
		}
	}
	if !t.Root.Defined() || t.Peer == "" {
		return Ticket{}, badTicket("names no content or no peer")
	}
	t.Addrs = best(t.Peer, t.Addrs)
	return t, nil
}

// take reads one field.
func (t *Ticket) take(tag uint64, value []byte) (err error) {
	switch {
	case tag == fieldRoot:
		if t.Root, err = content.DecodeCID(value); err != nil {
			return badTicket("its content ID is of a kind that Shoal does not use")
		}
	case tag == fieldName:
		t.Name = safeName(string(value))
	case tag == fieldPeer:
		if t.Peer, err = peer.IDFromBytes(value); err != nil || len(value) > maxPeerID {
			return badTicket("its peer ID is none")
		}
	case tag == fieldAddr:
		if a, err := ma.NewMultiaddrBytes(value); err == nil {
			t.Addrs = append(t.Addrs, a)
		}
	case tag == fieldSecret:
		if t.Secret, err = content.ParseSecret(value); err != nil {
			return badTicket("its secret is none")
		}
	case tag == fieldUntil:
		seconds, n := uvarint(value)
		if n <= 0 || n != len(value) || seconds < 1 || seconds > lastUntil {
			return badTicket("its end is no time")
		}
		t.Until = time.Unix(int64(seconds), 0)
	case tag == fieldKeep:
		if t.Keep = true; len(value) > 0 {
			return badTicket("its fields are out of order")
		}
	case tag == fieldSize:
		if size, n := uvarint(value); n == len(value) && n > 0 && size <= math.MaxInt64 {
			t.Size = int64(size)
		}
	case tag%2 == 0:
		return badTicket("made by a version of Shoal that this one does not understand")
	}
	return nil
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
