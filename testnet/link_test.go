package testnet

import (
	"errors"
	"math"
	"testing"
	"time"
)

func TestLinksHaveLimits(t *testing.T) {
	for _, l := range []Link{
		{},
		{Up: leastRate, Down: maxRate},
		{Delay: maxDelay, Jitter: maxDelay},
		{Loss: 1},
		{MTU: leastMTU},
		{MTU: mostMTU},
	} {
		if err := l.check(); err != nil {
			t.Errorf("%+v is refused: %v", l, err)
		}
	}
	for _, l := range []Link{
		{Up: leastRate - 1},
		{Up: -1},
		{Down: maxRate * 1.001},
		{Down: math.NaN()},
		{Up: math.Inf(1)},
		{Delay: -1},
		{Delay: maxDelay + 1},
		{Delay: time.Second, Jitter: time.Second + 1},
		{Jitter: -1},
		{Loss: -0.01},
		{Loss: 1.01},
		{Loss: math.NaN()},
		{MTU: -1},
		{MTU: leastMTU - 1},
		{MTU: mostMTU + 1},
	} {
		if err := l.check(); !errors.Is(err, ErrRequest) {
			t.Errorf("%+v: %v, want that it is refused", l, err)
		}
	}
}
