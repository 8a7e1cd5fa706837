package node

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
)

// The bare stream is what the transfer protocol is measured against: the same host, the same connection, and no protocol.
const (
	bareBytes    = 2 << 30
	bareProtocol = "/shoal/bare"
	sinkVariable = "SHOAL_TEST_SINK" // set in a process that is to run runSink
)

// BenchmarkBareStream sends 2 GiB through one stream from this process to another one and counts until the last byte was read.
// The stock one is go-libp2p as it comes, with TLS over TCP; the others have the settings of our nodes.
func BenchmarkBareStream(b *testing.B) {
	for name, listen := range map[string]string{
		"stock": stockPrefix + "/ip4/127.0.0.1/tcp/0", "tcp": "/ip4/127.0.0.1/tcp/0", "quic": "/ip4/127.0.0.1/udp/0/quic-v1",
	} {
		b.Run(name, func(b *testing.B) {
			h, to := benchHost(b, listen), startSink(b, listen)
			if own, ok := h.(*netHost); ok {
				own.allowNamed(to)
			}
			if err := h.Connect(b.Context(), to); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(bareBytes)
			for b.Loop() {
				sendBare(b, h, to.ID, bareBytes)
			}
		})
	}
}

// stockPrefix before an address asks for go-libp2p as it comes.
const stockPrefix = "stock "

// bareHost is a host of ours on loopback that lives as long as its test.
func bareHost(t testing.TB) *netHost {
	return benchHost(t, "/ip4/127.0.0.1/tcp/0").(*netHost)
}

func benchHost(t testing.TB, listen string) host.Host {
	h, err := openBare(listen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func openBare(listen string) (host.Host, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	if addr, stock := strings.CutPrefix(listen, stockPrefix); stock {
		return libp2p.New(libp2p.Identity(key), libp2p.ListenAddrStrings(addr), libp2p.Transport(tcp.NewTCPTransport),
			libp2p.Security(libp2ptls.ID, libp2ptls.New), libp2p.DisableRelay())
	}
	return newHost(hostConfig{Key: key, Network: Isolated, Listen: []string{listen}, UserAgent: "shoal/test"})
}

func sendBare(t testing.TB, h host.Host, to peer.ID, n int64) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s, err := h.NewStream(ctx, to, bareProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	buf := make([]byte, 1<<20)
	for left := n; left > 0; left -= int64(len(buf)) {
		if _, err := s.Write(buf); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	reply, err := io.ReadAll(s)
	if got := string(reply); err != nil || got != strconv.FormatInt(n, 10) {
		t.Fatalf("the sink read %q bytes (%v), sent were %d", got, err, n)
	}
}

// startSink runs this test binary again, as a process that reads streams and throws the bytes away.
func startSink(t testing.TB, listen string) peer.AddrInfo {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), sinkVariable+"="+listen)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // closing it ends the process
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the sink said nothing: %v", err)
	}
	info, err := peer.AddrInfoFromString(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return *info
}

// runSink is the other process. It ends when its standard input does.
func runSink(listen string) error {
	h, err := openBare(listen)
	if err != nil {
		return err
	}
	defer h.Close()
	h.SetStreamHandler(bareProtocol, func(s network.Stream) {
		defer s.Close()
		buf := make([]byte, 1<<20)
		var total int64
		for {
			n, err := s.Read(buf)
			total += int64(n)
			if err != nil {
				break
			}
		}
		fmt.Fprint(s, total)
	})
	id, err := multiaddr.NewMultiaddr("/p2p/" + h.ID().String())
	if err != nil {
		return err
	}
	fmt.Println(h.Addrs()[0].Encapsulate(id))
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
