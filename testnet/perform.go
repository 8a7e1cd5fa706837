package testnet

import (
	"context"
	"fmt"
)

// Fleet is a network of whole nodes to play a scenario with: a Net, or one that a test has.
type Fleet interface{ fleet }

// Perform plays a scenario with nodes that run. It makes the contents in dir, gives them to those who share them, does each step at its
// time, and compares every copy with the original. record hears of what the nodes do, and is called by several goroutines; what happens to
// them by a step the fleet has to tell.
func Perform(ctx context.Context, sc *Scenario, f Fleet, dir string, record func(Event)) error {
	if err := provide(sc, f.Nodes(), dir); err != nil {
		return fmt.Errorf("make the content: %w", err)
	}
	p := newPlayer(sc, f, record)
	if err := p.play(ctx); err != nil {
		return err
	}
	return p.verify(ctx, dir)
}
