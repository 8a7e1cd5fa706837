package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// bansFile, in the home, holds the bans that a restart should not forgive. A user may remove it to do just that.
const bansFile = "bans.json"

const (
	maxBansFile = 2 << 20          // bytes: maxBanned peers, with their addresses
	keepBansGap = 10 * time.Second // between two looks whether there are new ones: a flood of bans must not wear out the disk
)

// bannedPeer is a line of the file.
type bannedPeer struct {
	Peer  string       `json:"peer"`
	Until time.Time    `json:"until"`
	From  []netip.Addr `json:"from,omitempty"`
}

// parseBans reads the file. What makes no sense in it is an error, and bans longer than ours are cut: the clock was wrong.
func parseBans(text []byte, now time.Time) ([]bannedPeer, error) {
	if len(text) > maxBansFile {
		return nil, errors.New("too large")
	}
	var list []bannedPeer
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	if len(list) > maxBanned {
		return nil, errors.New("too many")
	}
	for i, b := range list {
		if _, err := peer.Decode(b.Peer); err != nil || len(b.From) > maxPeerConns {
			return nil, fmt.Errorf("ban %d makes no sense", i)
		}
		if most := now.Add(banTime); b.Until.After(most) {
			list[i].Until = most
		}
	}
	return list, nil
}

// loadBans takes over those of the last time. The gater is not in use yet.
func (g *gater) loadBans(home string) error {
	f, err := os.Open(filepath.Join(home, bansFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxBansFile+1))
	if err != nil {
		return err
	}
	list, err := parseBans(text, g.now())
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	for _, b := range list {
		if id, err := peer.Decode(b.Peer); err == nil && b.Until.After(g.now()) {
			g.ban(id, b.Until.Sub(g.now()), b.From)
		}
	}
	g.news = 0
	return nil
}

// listBans returns those that hold, and how many were added since the start.
func (g *gater) listBans() (list []bannedPeer, news int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	from := make(map[peer.ID][]netip.Addr)
	for s, until := range g.strikes {
		if until.After(now) && len(from[s.peer]) < maxPeerConns {
			from[s.peer] = append(from[s.peer], s.ip)
		}
	}
	for p, until := range g.banned {
		if until.After(now) {
			list = append(list, bannedPeer{p.String(), until, from[p]})
		}
	}
	return list, g.news
}

// keepBans writes down new bans until ctx ends.
func (n *Node) keepBans(ctx context.Context) {
	t := time.NewTicker(keepBansGap)
	defer t.Stop()
	known := 0
	for on := true; on; {
		select {
		case <-t.C:
		case <-ctx.Done():
			on = false
		}
		list, news := n.host.gater.listBans()
		if news == known {
			continue
		}
		if err := writeBans(n.config.Home, list); err != nil {
			n.config.Log.Warn("bans are not written down", "err", err)
			continue
		}
		known = news
	}
}

// writeBans replaces the file. It need not survive a power cut, only not be half there afterwards: then it cannot be read, and
// is passed over.
func writeBans(home string, list []bannedPeer) error {
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	path := filepath.Join(home, bansFile)
	text = bytes.ReplaceAll(text, []byte("},{"), []byte("},\n{"))
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
