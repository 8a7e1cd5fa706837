package content

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multibase"
	mh "github.com/multiformats/go-multihash"
)

// ErrCID says that something is not a content ID, or not one of those that Shoal uses: version 0 or 1, codec raw or dag-pb,
// and a sha2-256 hash of full length.
var ErrCID = errors.New("not a content ID that shoal can use")

// Digest is the sha2-256 hash of a block: of a chunk, if nothing else is said.
type Digest [32]byte

// CID returns the digest as the content ID of a raw leaf, which is what a chunk is.
func (d Digest) CID() cid.Cid { return ref{d, formRaw}.cid() }

// DigestOf returns the hash inside of a content ID, and false if it is not one that CheckCID accepts. IDs that differ in
// version or codec alone have the same digest: they name the same bytes.
func DigestOf(c cid.Cid) (Digest, bool) {
	r, ok := refOf(c)
	return r.digest, ok
}

// maxCIDText is the length of the longest content ID that is looked at, in bytes: in base 16 it has 74. Base 2 is longer and
// nobody uses it.
const maxCIDText = 128

// ParseCID reads a content ID as people write it, in any base but only as that base is written canonically. The error is
// ErrCID.
func ParseCID(s string) (cid.Cid, error) {
	switch {
	case s == "":
		return cid.Undef, badCID("it is empty")
	case len(s) > maxCIDText:
		return cid.Undef, badCID("it has %d characters", len(s))
	}
	c, err := cid.Decode(s)
	if err != nil {
		return cid.Undef, badCID("%q: %s", short(s), decodeReason(s))
	}
	if err := CheckCID(c); err != nil {
		return cid.Undef, err
	}
	if !canonical(c, s) {
		return cid.Undef, badCID("%q is not how that ID is written", short(s))
	}
	return c, nil
}

// decodeReason says what is wrong with a text that is no content ID. The decoders' own errors would echo the text.
func decodeReason(s string) string {
	_, b, err := multibase.Decode(s)
	if len(s) == 46 && strings.HasPrefix(s, "Qm") {
		return "wrong characters"
	}
	if err != nil {
		return "wrong or unknown base"
	}
	return binaryReason(b)
}

// canonical says that encoding c gives s again: no stray bits, no mixed case.
func canonical(c cid.Cid, s string) bool {
	if c.Version() == 0 {
		return c.String() == s
	}
	base, _, err := multibase.Decode(s)
	if err != nil {
		return false
	}
	again, err := c.StringOfBase(base)
	return err == nil && again == s
}

// DecodeCID reads a content ID in its binary form: all of b, nothing behind it. The error is ErrCID.
func DecodeCID(b []byte) (cid.Cid, error) {
	r, err := decodeRef(b)
	if err != nil {
		return cid.Undef, err
	}
	return r.cid(), nil
}

// CheckCID says why a content ID is not one that Shoal uses, wrapping ErrCID; nil if it is.
func CheckCID(c cid.Cid) error {
	if _, ok := refOf(c); ok {
		return nil
	}
	return badCID("%s", binaryReason([]byte(c.KeyString())))
}

func badCID(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrCID}, args...)...)
}

// binaryReason says why b is not the binary form of a content ID that we use.
func binaryReason(b []byte) string {
	if len(b) == 0 {
		return "it is empty"
	}
	if len(b) > maxCIDText {
		return fmt.Sprintf("it has %d bytes", len(b))
	}
	n, c, err := cid.CidFromBytes(b)
	if err != nil {
		return "it is damaged or of an unknown version"
	}
	p := c.Prefix()
	switch {
	case n != len(b):
		return fmt.Sprintf("%d bytes follow it", len(b)-n)
	case p.MhType != mh.SHA2_256:
		return fmt.Sprintf("its hash function is 0x%x, not sha2-256", p.MhType)
	case p.MhLength != len(Digest{}):
		return fmt.Sprintf("its hash has %d bytes", p.MhLength)
	case p.Codec != cid.Raw && p.Codec != cid.DagProtobuf:
		return fmt.Sprintf("its codec is 0x%x, neither raw nor dag-pb", p.Codec)
	}
	return "it is damaged"
}

// short cuts what an error quotes from a stranger.
func short(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// form is how a content ID wraps its digest.
type form uint8

const (
	formRaw form = iota // version 1, raw
	formPB              // version 1, dag-pb
	formV0              // version 0, which is always dag-pb
)

// prefixes are what comes before the digest in the binary form: version, codec, hash function, length of the hash; in version
// 0 only the last two.
var prefixes = [...]string{
	formRaw: "\x01\x55\x12\x20",
	formPB:  "\x01\x70\x12\x20",
	formV0:  "\x12\x20",
}

// ref is a content ID that we use, without a pointer.
type ref struct {
	digest Digest
	form   form
}

func (r ref) cid() cid.Cid {
	var b [4 + len(Digest{})]byte
	n := copy(b[:], prefixes[r.form])
	n += copy(b[n:], r.digest[:])
	c, err := cid.Cast(b[:n])
	if err != nil {
		panic("content: own content ID is refused: " + err.Error())
	}
	return c
}

// size is the length of the binary form in bytes.
func (r ref) size() int { return len(prefixes[r.form]) + len(r.digest) }

func (r ref) append(b []byte) []byte {
	b = append(b, prefixes[r.form]...)
	return append(b, r.digest[:]...)
}

func refOf(c cid.Cid) (ref, bool) { return matchRef(c.KeyString()) }

func matchRef[T string | []byte](b T) (ref, bool) {
	for f, prefix := range prefixes {
		if len(b) == len(prefix)+len(Digest{}) && string(b[:len(prefix)]) == prefix {
			return ref{Digest([]byte(b[len(prefix):])), form(f)}, true
		}
	}
	return ref{}, false
}

func decodeRef(b []byte) (ref, error) {
	r, ok := matchRef(b)
	if !ok {
		return ref{}, badCID("%s", binaryReason(b))
	}
	return r, nil
}

// Ref names something inside of a root.
type Ref struct {
	CID  cid.Cid
	Path string // components separated by slashes; "" is the root itself
}

// String returns the shortest form that ParseRef reads back.
func (r Ref) String() string {
	if r.Path == "" {
		return r.CID.String()
	}
	return r.CID.String() + "/" + r.Path
}

// maxPath is the length of the longest path that is used, in bytes: what Linux takes in one call.
const maxPath = 4096

// ParseRef reads "CID", "CID/a/b", "/ipfs/CID/a/b" and "ipfs://CID/a/b"; in the last one, bytes may be written %XX. A slash at
// the end does not matter. The error is ErrCID, or a *NameError for the first component that no safe name can be.
func ParseRef(s string) (Ref, error) {
	text, url := strings.CutPrefix(s, "ipfs://")
	if !url {
		text = strings.TrimPrefix(s, "/ipfs/")
	}
	if len(text) > maxCIDText+3*maxPath {
		return Ref{}, badCID("it has %d characters", len(s))
	}
	root, path, _ := strings.Cut(text, "/")
	c, err := ParseCID(root)
	if err != nil {
		return Ref{}, err
	}
	path = strings.TrimSuffix(path, "/")
	if path == "" {
		return Ref{CID: c}, nil
	}
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if url {
			if p, err = unescape(p); err != nil {
				return Ref{}, err
			}
		}
		if why := judge("", p); why != sound {
			return Ref{}, &NameError{Name: p, Reason: why.String()}
		}
		parts[i] = p
	}
	path = strings.Join(parts, "/")
	if len(path) > maxPath {
		return Ref{}, &NameError{Name: path, Reason: longPath.String()}
	}
	return Ref{CID: c, Path: path}, nil
}

// unescape reads %XX in one component of a URL.
func unescape(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	out := slices.Grow([]byte(nil), len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
			return "", &NameError{Name: s, Reason: "has a % that no two hexadecimal digits follow"}
		}
		out = append(out, hexValue(s[i+1])<<4|hexValue(s[i+2]))
		i += 2
	}
	return string(out), nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func hexValue(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
