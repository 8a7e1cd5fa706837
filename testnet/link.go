package testnet

import (
	"fmt"
	"time"
)

// Link is what lies between a node and the middle of its network. The zero value has no limits and takes no time.
type Link struct {
	Up     float64       `json:"up,omitempty"`     // bytes a second that the node can send; 0: no limit
	Down   float64       `json:"down,omitempty"`   // bytes a second that it can receive
	Delay  time.Duration `json:"delay,omitempty"`  // each way; in JSON, nanoseconds
	Jitter time.Duration `json:"jitter,omitempty"` // by which the delay of a packet differs from it at most
	Loss   float64       `json:"loss,omitempty"`   // share of the packets that get lost, each way
	MTU    int           `json:"mtu,omitempty"`    // bytes of a packet; 0: 1500
}

// What a packet may measure, in bytes. The other limits of a Link are those of a scenario.
const (
	usualMTU = 1500
	mostMTU  = 9000 // jumbo frames
)

// check says what is wrong with a link, or returns nil.
func (l Link) check() error {
	for name, rate := range map[string]float64{"up": l.Up, "down": l.Down} {
		if rate != 0 && !(rate >= leastRate && rate <= maxRate) {
			return fmt.Errorf("%w: the rate %s is %g bytes a second: choose %d to %g, or 0 for no limit", ErrRequest, name, rate, leastRate, float64(maxRate))
		}
	}
	switch {
	case l.Delay < 0 || l.Delay > maxDelay:
		return fmt.Errorf("%w: the delay is %v: choose up to %v", ErrRequest, l.Delay, maxDelay)
	case l.Jitter < 0 || l.Jitter > l.Delay:
		return fmt.Errorf("%w: the jitter is %v: choose up to the delay, which is %v", ErrRequest, l.Jitter, l.Delay)
	case !(l.Loss >= 0 && l.Loss <= 1):
		return fmt.Errorf("%w: the loss is %g: choose 0 to 1, which is all", ErrRequest, l.Loss)
	case l.MTU != 0 && (l.MTU < leastMTU || l.MTU > mostMTU):
		return fmt.Errorf("%w: the MTU is %d: choose %d to %d bytes", ErrRequest, l.MTU, leastMTU, mostMTU)
	}
	return nil
}
