package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/shoal-p2p/shoal/discovery"
)

// toldBeyond is a DHT beyond the local network that says the same at all times.
type toldBeyond struct{ toldBy }

func (toldBeyond) Routes() []string { return []string{discovery.RouteDHT} }

// T16: a thousand providers whose addresses are dead, each another one, and one real provider anywhere among them: it is reached before
// the request gives up.
func TestDeadProviders(t *testing.T) {
	const fakes = 1000
	for _, place := range []int{0, fakes / 2, fakes} {
		t.Run(fmt.Sprintf("after %d", place), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newHosts(t, 2)
				defer b.close()
				ctx, cancel := context.WithCancel(t.Context())
				defer func() { cancel(); synctest.Wait() }()
				run(ctx, b.node(1, b.tree()))
				var lies toldBy
				for n := range fakes {
					lies = append(lies, discovery.Finding{Route: discovery.RouteDHT, Info: peer.AddrInfo{
						ID: stranger(n), Addrs: addrs(fmt.Sprintf("/ip4/8.%d.%d.8/udp/4747/quic-v1", n/250, n%250)),
					}})
				}
				lies = slices.Insert(lies, place, discovery.Finding{Route: discovery.RouteDHT, Info: b.info(1)})
				_, took, err := b.get(ctx, b.node(0, nil, toldBeyond{lies}), target{})
				if err != nil || took > 30*time.Second {
					t.Errorf("after %v: %v; expected the file within 30 s", took, err)
				}
				t.Logf("the file came after %v", took)
			})
		})
	}
}

// T15: who finds holders through a DHT alone hears once that this may not work the next time, and not if another way led to one, too.
func TestOnlyADHTLedToPeers(t *testing.T) {
	for name, c := range map[string]struct {
		other bool // the user names the holder as well
		want  int
	}{"only a DHT": {false, 1}, "the user as well": {true, 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newHosts(t, 2)
				defer b.close()
				ctx, cancel := context.WithCancel(t.Context())
				defer func() { cancel(); synctest.Wait() }()
				run(ctx, b.node(1, b.tree()))
				at := target{root: b.root.CID}
				if c.other {
					at.peers = []peer.AddrInfo{b.info(1)}
				}
				seeker := b.node(0, nil, toldBeyond{toldBy{{Route: discovery.RouteDHT, Info: b.info(1)}}})
				notes := 0
				p := seeker.pursue(ctx, at, pursuitOptions{Leech: true, Patience: DefaultPatience, Emit: oneAtATime(func(e Event) {
					if e.Kind == "note" && strings.Contains(e.Message, "only a DHT led to peers") {
						notes++
					}
				})})
				if _, err := p.tree(); err != nil {
					t.Error(err)
				}
				time.Sleep(2 * warnAfter)
				p.stop()
				if notes != c.want {
					t.Errorf("said %d times, want %d", notes, c.want)
				}
			})
		})
	}
}
