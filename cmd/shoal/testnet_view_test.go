package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/testnet"
)

// TestViewFitsTheScreen has more nodes than lines: what they send each other has to be seen all the same.
func TestViewFitsTheScreen(t *testing.T) {
	l := testnet.Look{Swarms: []testnet.Swarm{{CID: "root", Name: "film", Receivers: 3}}}
	for i := range 30 {
		l.Nodes = append(l.Nodes, testnet.Seen{Node: testnet.Node{Spec: testnet.Spec{Name: fmt.Sprintf("n%d", i+1)}}})
	}
	for i := range 3 {
		l.Flows = append(l.Flows, testnet.Flow{From: "n1", To: fmt.Sprintf("n%d", i+2), CID: "root"})
	}
	text := strings.Join(fitLook(l, 23), "\n")
	for _, want := range []string{"30 nodes", "n1 ", "n14 ", "… and 16 more", "film", "n1 → n4"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	for room := range 50 {
		lines := fitLook(l, room)
		if len(lines) > max(room, 1) {
			t.Errorf("%d lines where %d have room", len(lines), room)
		}
	}
	if lines := fitLook(l, 38); len(lines) != 38 || strings.Contains(strings.Join(lines, "\n"), "more:") {
		t.Errorf("all of it has room, and is not shown:\n%s", strings.Join(lines, "\n"))
	}
}
