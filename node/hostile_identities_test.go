package node

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
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
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
)

// B74: of a peer that says it has 1,800 protocols no more than 1,024 are remembered.
func TestManyProtocolsAreNotKept(t *testing.T) {
	a, s := start(t, "a"), newOutsider(t)
	said := make(chan struct{}, 1)
	s.host.SetStreamHandler(identify.ID, func(str network.Stream) {
		defer str.Close()
		for part := range 6 { // libp2p reads messages of up to 8 KiB, and several of them
			m := appendBytes(nil, 6, "a peer of many talents")
			for i := range 300 {
				m = appendBytes(m, 3, fmt.Sprintf("/p/%04d", 300*part+i))
			}
			str.Write(append(binary.AppendUvarint(nil, uint64(len(m))), m...))
		}
		said <- struct{}{}
	})
	s.connect(a)
	select {
	case <-said:
	case <-time.After(patient):
		t.Fatal("the node does not ask who we are")
	}
	id := s.host.ID()
	waitFor(t, "what it was told", func() bool {
		agent, err := a.host.Peerstore().Get(id, "AgentVersion")
		return err == nil && agent == "a peer of many talents"
	})
	if protocols, err := a.host.Peerstore().GetProtocols(id); err != nil || len(protocols) > 1024 {
		t.Errorf("%d protocols are kept, %v", len(protocols), err)
	}
}

// appendBytes adds a field of bytes to a protobuf message.
func appendBytes(m []byte, field uint64, value string) []byte {
	m = binary.AppendUvarint(m, field<<3|2)
	m = binary.AppendUvarint(m, uint64(len(value)))
	return append(m, value...)
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
