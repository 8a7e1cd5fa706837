package testnet

import (
	"slices"
	"testing"
)

func TestReadyScenariosMakeSense(t *testing.T) {
	want := []string{"churn", "dht-100", "flash-crowd", "lan-party", "liars", "nat-pair", "one-to-many", "partition-and-heal", "slow-uplink"}
	if got := ReadyScenarios(); !slices.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}
	for _, name := range ReadyScenarios() {
		text, ok := ReadyScenario(name)
		sc, err := ParseScenario(text)
		switch {
		case !ok || err != nil:
			t.Errorf("%s: %v", name, err)
		case sc.Name != name || sc.About == "" || len(sc.Expect) == 0:
			t.Errorf("%s is called %q, is about %q and expects %d things", name, sc.Name, sc.About, len(sc.Expect))
		}
	}
	if _, ok := ReadyScenario("../link"); ok {
		t.Error("a name leads out of the folder")
	}
}
