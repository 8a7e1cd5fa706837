package node

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
)

// B74: of a peer with 1,800 protocols no more than 1,024 are remembered.
func TestManyProtocolsAreNotKept(t *testing.T) {
	a, s := start(t, "a"), newOutsider(t)
	for i := range 1800 {
		s.host.SetStreamHandler(protocol.ID(fmt.Sprintf("/protocol/%d", i)), func(str network.Stream) { str.Reset() })
	}
	s.connect(a)
	id := s.host.ID()
	for end := time.Now().Add(patient); ; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("identify has not come to an end")
		}
		if _, err := a.host.Peerstore().Get(id, "AgentVersion"); err == nil {
			break // what it says of itself is taken after its protocols
		}
	}
	if protocols, err := a.host.Peerstore().GetProtocols(id); err != nil || len(protocols) > 1024 {
		t.Errorf("%d protocols are kept, %v", len(protocols), err)
	}
}

// giantKey is an RSA key of any length whose signatures are good for nothing.
type giantKey struct{ bits int }

func (k giantKey) Type() pb.KeyType                 { return pb.KeyType_RSA }
func (k giantKey) Equals(crypto.Key) bool           { return false }
func (k giantKey) Sign([]byte) ([]byte, error)      { return make([]byte, k.bits/8), nil }
func (k giantKey) GetPublic() crypto.PubKey         { return k }
func (k giantKey) Verify(_, _ []byte) (bool, error) { return false, nil }

func (k giantKey) Raw() ([]byte, error) {
	n := new(big.Int).Lsh(big.NewInt(1), uint(k.bits-1))
	return x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537})
}

// B74: a key larger than any is refused in the handshake, before a signature is checked with it.
func TestGiantKeysAreRefused(t *testing.T) {
	for _, bits := range []int{8200, 16384} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx := withTimeout(t, patient)
		ours, err := newTLS(libp2ptls.ID, newKey(t, 1), nil)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := libp2ptls.New(libp2ptls.ID, giantKey{bits}, nil)
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan error, 1)
		go func() {
			c, err := net.Dial("tcp", l.Addr().String())
			if err == nil {
				_, err = theirs.SecureOutbound(ctx, c, "")
			}
			failed <- errors.Join(err, c.Close())
		}()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err = ours.SecureInbound(ctx, c, ""); err == nil || !strings.Contains(err.Error(), crypto.ErrRsaKeyTooBig.Error()) {
			t.Errorf("a key of %d bits: %v", bits, err)
		}
		t.Logf("refused a key of %d bits in %v", bits, time.Since(began))
		c.Close()
		<-failed
		l.Close()
	}
}
