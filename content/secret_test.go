package content

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ipfs/go-cid"
)

// telling is a secret that would be seen in any encoding.
func telling(t testing.TB) Secret {
	t.Helper()
	s, err := ParseSecret([]byte("TELLTALETELLTALE"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// However a secret is printed, and wherever it lies, it does not show.
func TestSecretsDoNotShow(t *testing.T) {
	s := telling(t)
	type inside struct {
		hidden Secret
		Shown  Secret
		more   []Secret
	}
	values := map[string]any{
		"itself": s, "pointer": &s, "struct": inside{s, s, []Secret{s}}, "pointer to struct": &inside{s, s, []Secret{s}},
		"map": map[string]Secret{"k": s}, "access": Access{Secret: s}, "error": fmt.Errorf("it is %v", s),
	}
	var log bytes.Buffer
	for name, v := range values {
		for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %o %b %c %U %e %t") {
			fmt.Fprintf(&log, name+" "+verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&log, nil)).Info("text", name, v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("json", name, v)
		text, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%s as JSON: %v", name, err)
		}
		log.Write(text)
	}
	for name, shown := range map[string]string{
		"bytes": "TELLTALE", "hex": hex.EncodeToString([]byte("TELLT")), "numbers": "84 69 76 76", "JSON numbers": "84,69,76,76",
		"Go syntax": "0x54, 0x45", "octal": "124 105", "binary": "1010100 1000101", "base64": "VEVMTFRB",
	} {
		if strings.Contains(strings.ToLower(log.String()), strings.ToLower(shown)) {
			t.Errorf("the secret shows as %s", name)
		}
	}
	if !strings.Contains(log.String(), "[secret]") {
		t.Error("nothing says that there was a secret")
	}
}

func TestSecretsAreWhole(t *testing.T) {
	for n := range 2 * SecretSize {
		s, err := ParseSecret(bytes.Repeat([]byte{7}, n))
		if good := n == SecretSize; good != (err == nil) || good == s.IsZero() || !good && !errors.Is(err, ErrSecret) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := ParseSecret(make([]byte, SecretSize)); err == nil {
		t.Error("sixteen zeros are a secret")
	}
	if _, err := NewSecret(iotest.ErrReader(errors.New("no chance"))); err == nil {
		t.Error("a secret came out of nothing")
	}
	a, errA := NewSecret(rand.Reader)
	b, errB := NewSecret(rand.Reader)
	again, errC := ParseSecret(a.Reveal())
	if err := errors.Join(errA, errB, errC); err != nil || a.Equal(b) || !a.Equal(again) || a.Equal(Secret{}) || !(Secret{}).Equal(Secret{}) {
		t.Errorf("secrets that differ are equal, or the other way round (%v)", err)
	}
}

// The values are those of Python's hmac module: hmac.new(bytes(range(1, 17)), parts, sha256), with each part behind
// len(part).to_bytes(4, "big").
func TestProofsAreThoseOfTheProtocol(t *testing.T) {
	key := make([]byte, SecretSize)
	for i := range key {
		key[i] = byte(i + 1)
	}
	s, err := ParseSecret(key)
	if err != nil {
		t.Fatal(err)
	}
	root := cid.MustParse("bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e")
	alias, _ := DigestOf(s.Alias(root))
	proof := s.Proof(root, "one", "other")
	for _, c := range []struct{ name, got, want string }{
		{"alias", hex.EncodeToString(alias[:]), aliasByPython},
		{"proof", hex.EncodeToString(proof[:]), proofByPython},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, c.got, c.want)
		}
	}
}

// A proof is bound to all that it speaks of.
func TestProofsCannotBeUsedElsewhere(t *testing.T) {
	s, root := telling(t), Seal([]byte("a")).Digest().CID()
	proof := s.Proof(root, "one", "other")
	stranger, err := NewSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string][ProofSize]byte{
		"towards its sender":    s.Proof(root, "other", "one"),
		"towards a third":       s.Proof(root, "one", "third"),
		"by a third":            s.Proof(root, "third", "other"),
		"for another root":      s.Proof(Seal([]byte("b")).Digest().CID(), "one", "other"),
		"with another secret":   stranger.Proof(root, "one", "other"),
		"with bytes moved over": s.Proof(root, "oneo", "ther"),
	} {
		if other == proof {
			t.Errorf("the proof holds %s", name)
		}
	}
	if s.Alias(root) == stranger.Alias(root) || s.Alias(root) == root {
		t.Error("the alias does not depend on the secret")
	}
}

const (
	aliasByPython = "2abd07995bde6bd11102f3c64bf34288c885a33bc057e96818c61689b09f8785"
	proofByPython = "4d54441c8e670e2024c1fb2abf05faf348fbc461a0652dcad517b5973d44c6c6"
)
