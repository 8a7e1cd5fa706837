//go:build fault

package fault

import (
	"syscall"
	"testing"
)

func TestParse(t *testing.T) {
	p, err := parse("K7:3:kill")
	if err != nil || p.point != "K7" || p.at != 3 || p.signal != syscall.SIGKILL {
		t.Errorf("got %+v, %v", p, err)
	}
	if p, err := parse(""); err != nil || p.point != "" {
		t.Errorf("nothing asked for: %+v, %v", p, err)
	}
	for _, text := range []string{"K7", "K7:3", "K7:0:kill", "K7:x:kill", "K7:1:pause", "K7:1:kill:"} {
		if p, err := parse(text); err == nil {
			t.Errorf("%q: got %+v, want an error", text, p)
		}
	}
}
