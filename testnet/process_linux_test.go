package testnet

import "testing"

func TestWhetherAProcessIsThere(t *testing.T) {
	for stat, want := range map[string]string{
		"7 (shoal) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 11 0 4711 0":        "4711",
		"7 (a) b (c) R 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0":       "4711",
		"7 (has ended) Z 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0":     "",
		"7 (is being left) X 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0": "",
		"7 (changes) Z 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 5 0 4711 0":       "4711",
		"7 (cut off) S 1": "",
		"":                "",
	} {
		if got, ok := born([]byte(stat)); got != want || ok != (want != "") {
			t.Errorf("%q: born at %q, %v; want %q", stat, got, ok, want)
		}
	}
}
