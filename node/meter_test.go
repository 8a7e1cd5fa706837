package node

import (
	"path/filepath"
	"testing"
	"time"
)

// What is moved is counted once: as content, or as what is not.
func TestContentIsNotBackground(t *testing.T) {
	for name, listen := range map[string]string{"tcp": "/ip4/127.0.0.1/tcp/0", "quic": "/ip4/127.0.0.1/udp/0/quic-v1"} {
		t.Run(name, func(t *testing.T) {
			a := startWith(t, "a", func(n *Node) {
				n.host.stopListening()
				if err := n.host.listen([]string{listen}); err != nil {
					t.Fatal(err)
				}
			})
			b := startWith(t, "b", func(*Node) {}, a)
			const size = 8 << 20
			path, data := a.file("big", size)
			s := a.share(path)
			to := filepath.Join(b.dir, "copy")
			b.fetch(FetchRequest{Ref: s.CID, Dest: to})
			same(t, to, data)
			for who, n := range map[string]*running{"giver": a, "taker": b} {
				v := n.besidesContent()
				down, up := n.transfer.Totals()
				if down+up != size {
					t.Errorf("%s: %d bytes of content, want %d", who, down+up, size)
				}
				if v.down+v.up < 1000 || v.down+v.up > size/10 { // what QUIC sends again on a busy machine is besides the content, too
					t.Errorf("%s: %d bytes received and %d sent besides %d of content", who, v.down, v.up, size)
				}
				if v.down == 0 || v.up == 0 {
					t.Errorf("%s: one direction is not counted: %+v", who, v)
				}
			}
			_ = b.host.Network().ClosePeer(a.host.ID())
			waitFor(t, "the end of the connection", func() bool { return len(b.host.Network().Conns()) == 0 })
			waitFor(t, "its bytes to be kept", func() bool { v := b.besidesContent(); return v.down+v.up >= 1000 })
		})
	}
}

func TestBackgroundRates(t *testing.T) {
	start := time.Unix(1e9, 0)
	at := func(s int, down, up int64) sample {
		return sample{start.Add(time.Duration(s) * time.Second), volume{down, up}}
	}
	var b background
	if down, up := b.rates(at(1, 5, 5)); down != 0 || up != 0 {
		t.Errorf("without a sample: %v, %v", down, up)
	}
	for s := 0; s <= 300; s += 5 {
		b.add(at(s, int64(100*s), 0))
	}
	if len(b.samples) > 14 {
		t.Errorf("%d samples are kept of a minute", len(b.samples))
	}
	if down, up := b.rates(at(300, 30_000+6000, 600)); down != 200 || up != 10 {
		t.Errorf("got %v and %v, want 200 and 10", down, up)
	}
	if down, _ := b.rates(at(301, 0, 0)); down != 0 {
		t.Errorf("a count that went back makes a rate of %v", down)
	}
}
