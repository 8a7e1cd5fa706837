package content

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multibase"
	mh "github.com/multiformats/go-multihash"
)

// text writes the binary form of a CID in base 32.
func text(b []byte) string {
	s, err := multibase.Encode(multibase.Base32, b)
	if err != nil {
		panic(err)
	}
	return s
}

// multihash puts a hash function and a length that is claimed before a digest.
func multihash(code byte, claimed int, digest []byte) []byte {
	return append([]byte{code, byte(claimed)}, digest...)
}

func goodCIDs() map[string]cid.Cid {
	d := Seal([]byte("hello")).Digest()
	return map[string]cid.Cid{"raw": ref{d, formRaw}.cid(), "dag-pb": ref{d, formPB}.cid(), "version 0": ref{d, formV0}.cid()}
}

func TestGoodCIDs(t *testing.T) {
	want := Seal([]byte("hello")).Digest()
	for name, c := range goodCIDs() {
		for _, base := range []multibase.Encoding{multibase.Base16, multibase.Base32, multibase.Base32Upper, multibase.Base36, multibase.Base58BTC, multibase.Base64url} {
			s := c.String()
			if c.Version() == 1 {
				s, _ = c.StringOfBase(base)
			}
			if got, err := ParseCID(s); err != nil || !got.Equals(c) {
				t.Errorf("%s: ParseCID(%s) = %s, %v", name, s, got, err)
			}
		}
		if got, err := DecodeCID(c.Bytes()); err != nil || !got.Equals(c) {
			t.Errorf("%s: DecodeCID = %s, %v", name, got, err)
		}
		if d, ok := DigestOf(c); !ok || d != want { // B14
			t.Errorf("%s: DigestOf = %x, %v", name, d, ok)
		}
		if err := CheckCID(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !want.CID().Equals(goodCIDs()["raw"]) {
		t.Error("a digest is not the CID of a raw leaf")
	}
}

func TestBadCIDs(t *testing.T) {
	digest := Seal([]byte("hello")).Digest()
	raw := func(prefix ...byte) []byte { return append(prefix, digest[:]...) }
	v0 := ref{digest, formV0}.cid().String()
	for _, c := range []struct {
		id, name string
		binary   []byte
		text     string // where it is not the binary form in base 32
	}{
		{id: "B1", name: "identity, 10 MiB", binary: append([]byte{1, 0x55, 0, 0x80, 0x80, 0x80, 5}, make([]byte, 10<<20)...)},
		{id: "B2", name: "identity, 129 bytes", binary: append([]byte{1, 0x55, 0, 0x81, 1}, make([]byte, 129)...)},
		{id: "B2", name: "identity, 4 bytes", binary: []byte{1, 0x55, 0, 4, 1, 2, 3, 4}},
		{id: "B4", name: "codec 0x3fffff", binary: raw(1, 0xff, 0xff, 0xff, 1, 0x12, 32)},
		{id: "B4", name: "dag-cbor", binary: raw(1, 0x71, 0x12, 32)},
		{id: "B4", name: "libp2p-key", binary: raw(1, 0x72, 0x12, 32)},
		{id: "B5", name: "murmur3", binary: append([]byte{1, 0x55}, multihash(0x22, 8, digest[:8])...)},
		{id: "B5", name: "md5", binary: append([]byte{1, 0x55, 0xd5, 1, 16}, digest[:16]...)},
		{id: "B5", name: "blake2b", binary: raw(1, 0x55, 0xa0, 0xe4, 2, 32)},
		{id: "B5", name: "double sha2-256", binary: raw(1, 0x55, 0x56, 32)},
		{id: "B6", name: "version 0 with a version", binary: raw(0, 0x70, 0x12, 32)},
		{id: "B6", name: "version 2", binary: raw(2, 0x55, 0x12, 32)},
		{id: "B6", name: "version 255", binary: raw(0xff, 1, 0x55, 0x12, 32)},
		{id: "B6", name: "version 0 with a base", text: "z" + v0},
		{id: "B6", name: "version 0 in base 32", binary: raw(0x12, 32), text: text(raw(0x12, 32))},
		{id: "B7", name: "sha1", binary: append([]byte{1, 0x55}, multihash(0x11, 20, digest[:20])...)},
		{id: "B8", name: "version 0 with a wrong character", text: strings.Replace(v0, v0[10:11], "0", 1)},
		{id: "B8", name: "version 0 in lower case", text: strings.ToLower(v0)},
		{id: "B8", name: "version 0 in upper case", text: strings.ToUpper(v0)},
		{id: "B8", name: "version 0 one short", text: v0[:45]},
		{id: "B8", name: "version 0 one long", text: v0 + "1"},
		{id: "B8", name: "mixed case", text: "bA" + text(raw(1, 0x55, 0x12, 32))[2:]},
		{id: "B9", name: "1 MiB of text", text: strings.Repeat("b", 1<<20)},
		{id: "B9", name: "one character too many", text: strings.Repeat("b", maxCIDText+1)},
		{id: "B10", name: "endless varint", binary: []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1}},
		{id: "B10", name: "padded version", binary: raw(0x81, 0, 0x55, 0x12, 32)},
		{id: "B10", name: "padded codec", binary: raw(1, 0xd5, 0, 0x12, 32)},
		{id: "B10", name: "padded length", binary: raw(1, 0x55, 0x12, 0xa0, 0)},
		{id: "B11", name: "20 bytes of sha2-256", binary: append([]byte{1, 0x55}, multihash(0x12, 20, digest[:20])...)},
		{id: "B11", name: "33 bytes of sha2-256", binary: append(raw(1, 0x55, 0x12, 33), 0)},
		{id: "B11", name: "no bytes of sha2-256", binary: []byte{1, 0x55, 0x12, 0}},
		{id: "B12", name: "a byte behind it", binary: append(raw(1, 0x55, 0x12, 32), 0)},
		{id: "B12", name: "a byte behind version 0", binary: append(raw(0x12, 32), 0)},
		{id: "B12", name: "a CID behind it", binary: append(raw(1, 0x55, 0x12, 32), raw(1, 0x55, 0x12, 32)...)},
		{id: "B12", name: "stray bits at the end", text: strayBits(t, text(raw(1, 0x55, 0x12, 32)))},
		{id: "B12", name: "a space behind it", text: text(raw(1, 0x55, 0x12, 32)) + " "},
		{id: "B13", name: "empty", binary: []byte{}, text: ""},
		{id: "B13", name: "bafy", text: "bafy"},
		{id: "B13", name: "NUL inside", text: "bafk\x00" + text(raw(1, 0x55, 0x12, 32))[5:]},
		{id: "B13", name: "NUL inside version 0", text: v0[:20] + "\x00" + v0[21:]},
		{id: "B13", name: "not UTF-8", text: "b\xff\xfe"},
	} {
		t.Run(c.id+" "+c.name, func(t *testing.T) {
			if c.binary != nil && c.text == "" {
				c.text = text(c.binary)
			}
			got, err := ParseCID(c.text)
			if used := allocated(func() { ParseCID(c.text) }); used > 4<<10 && !raceDetector {
				t.Errorf("%d bytes were allocated", used)
			}
			refused(t, "ParseCID", got, err)
			if c.id == "B6" && strings.HasPrefix(c.name, "version 0 in") {
				return // as bytes it is sound
			}
			if c.binary != nil {
				got, err := DecodeCID(c.binary)
				refused(t, "DecodeCID", got, err)
				if used := allocated(func() { DecodeCID(c.binary) }); used > 4<<10 && !raceDetector {
					t.Errorf("DecodeCID: %d bytes were allocated", used)
				}
			}
		})
	}
}

// refused checks that a CID was refused for being one, in few words.
func refused(t *testing.T, by string, got cid.Cid, err error) {
	t.Helper()
	if !errors.Is(err, ErrCID) || got.Defined() {
		t.Fatalf("%s: got %s, %v; want ErrCID", by, got, err)
	}
	if len(err.Error()) > 400 {
		t.Errorf("%s: the error has %d bytes: %.100s…", by, len(err.Error()), err)
	}
}

// strayBits sets one of the bits that base 32 has left over at the end.
func strayBits(t *testing.T, s string) string {
	t.Helper()
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	at := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + string(alphabet[at|1])
}

// allocated returns how many bytes f allocates. It calls it a few times, because others allocate too.
func allocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 4 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

func TestCutCIDsAreRefused(t *testing.T) { // B3
	for name, c := range goodCIDs() {
		b := c.Bytes()
		for n := range b {
			if got, err := DecodeCID(b[:n]); !errors.Is(err, ErrCID) {
				t.Errorf("%s cut after %d bytes: %s, %v", name, n, got, err)
			}
		}
		s := c.String()
		for n := range s {
			if got, err := ParseCID(s[:n]); !errors.Is(err, ErrCID) {
				t.Errorf("%s cut after %d characters: %s, %v", name, n, got, err)
			}
		}
	}
}

func TestCheckCIDKnowsItsReason(t *testing.T) {
	sum, err := mh.Sum([]byte("x"), mh.SHA1, -1)
	if err != nil {
		t.Fatal(err)
	}
	digest := Digest{}
	for _, c := range []struct {
		cid  cid.Cid
		want string
	}{
		{cid.Undef, "empty"},
		{cid.NewCidV1(cid.Raw, sum), "hash function is 0x11"},
		{cid.NewCidV1(cid.DagCBOR, mh.Multihash(append([]byte{0x12, 32}, digest[:]...))), "codec is 0x71"},
	} {
		err := CheckCID(c.cid)
		if !errors.Is(err, ErrCID) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("got %v, want ErrCID that says %q", err, c.want)
		}
		if _, ok := DigestOf(c.cid); ok {
			t.Errorf("a digest comes from a CID that is refused: %v", err)
		}
	}
}

func TestParseRef(t *testing.T) {
	c := Seal([]byte("hello")).Digest().CID()
	id := c.String()
	for text, want := range map[string]string{
		id:                                       "",
		id + "/":                                 "",
		id + "/a":                                "a",
		id + "/a/b c/":                           "a/b c",
		"/ipfs/" + id:                            "",
		"/ipfs/" + id + "/a/b":                   "a/b",
		"ipfs://" + id + "/a%20b/c%2B%e5":        "error",
		"ipfs://" + id + "/a%20b/%c3%bc":         "a b/ü",
		id + "/a%20b":                            "a%20b",
		"":                                       "error",
		"/":                                      "error",
		"/ipfs/":                                 "error",
		"/ipns/" + id:                            "error",
		"/" + id:                                 "error",
		"http://" + id:                           "error",
		id + "//a":                               "error",
		id + "/a//b":                             "error",
		id + "/../a":                             "error",
		id + "/a/..":                             "error",
		id + "/.":                                "error",
		id + `/a\b`:                              "error",
		id + "/a\x00":                            "error",
		id + "/a\n":                              "error",
		"ipfs://" + id + "/%2e%2e/a":             "error",
		"ipfs://" + id + "/a%2fb":                "error",
		"ipfs://" + id + "/a%00b":                "error",
		"ipfs://" + id + "/a%2":                  "error",
		"ipfs://" + id + "/a%zz":                 "error",
		id + "/" + strings.Repeat("a", 256):      "error",
		id + strings.Repeat("/aaaaaaaaaaa", 400): "error",
		strings.Repeat("a", 1<<20):               "error",
	} {
		r, err := ParseRef(text)
		if want == "error" {
			var name *NameError
			if !errors.Is(err, ErrCID) && !errors.As(err, &name) {
				t.Errorf("ParseRef(%.100q) = %v, %v; want ErrCID or a *NameError", text, r, err)
			} else if len(err.Error()) > 400 {
				t.Errorf("ParseRef(%.100q): the error has %d bytes", text, len(err.Error()))
			}
			continue
		}
		if err != nil || r.Path != want || !r.CID.Equals(c) {
			t.Errorf("ParseRef(%q) = %v, %v; want the path %q", text, r, err, want)
			continue
		}
		if again, err := ParseRef(r.String()); err != nil || again != r {
			t.Errorf("%s comes back as %v, %v", r, again, err)
		}
	}
}
