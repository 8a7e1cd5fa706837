package testnet

import (
	"embed"
	"path"
	"slices"
	"strings"
)

//go:embed scenarios/*.yaml
var ready embed.FS

// ReadyScenarios returns the names of the scenarios that come with the program.
func ReadyScenarios() (names []string) {
	entries, _ := ready.ReadDir("scenarios") // it is part of the program
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// ReadyScenario returns the text of one of them; false if there is none of that name.
func ReadyScenario(name string) ([]byte, bool) {
	text, err := ready.ReadFile(path.Join("scenarios", name+".yaml"))
	return text, err == nil
}
