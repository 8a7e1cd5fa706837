//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// introduce tells all machines each other's hardware addresses, for good. The kernel keeps those that it has asked for in one table of
// a thousand for all namespaces together, and fifty machines that all know each other are 2,450 in each family: without this, it
// forgets and asks all the time, and loses the packets that it asks for, which the nodes then send again.
func (n *lan) introduce() error {
	about := make([]string, len(n.machines)) // lines for `ip -batch` that tell of each machine
	for i, m := range n.machines {
		card, err := m.card()
		if err != nil {
			return err
		}
		for _, a := range card.Addrs {
			about[i] += fmt.Sprintf("neigh replace %s lladdr %s nud permanent dev %s\n", a.Local, card.Hardware, m.dev)
		}
	}
	for i, m := range n.machines {
		others := strings.Join(about[:i], "") + strings.Join(about[i+1:], "")
		if err := m.batch(others); err != nil {
			return err
		}
	}
	return nil
}

// card is what a machine's interface is called by others.
type card struct {
	Hardware string `json:"address"`
	Addrs    []struct {
		Local string `json:"local"`
	} `json:"addr_info"`
}

func (m *machine) card() (c card, err error) {
	err = m.in(func() error {
		out, err := exec.Command("ip", "-json", "addr", "show", "dev", m.dev).Output()
		if err != nil {
			return fmt.Errorf("ip addr show dev %s: %w", m.dev, err)
		}
		var cards []card
		if err := json.Unmarshal(out, &cards); err != nil || len(cards) != 1 {
			return fmt.Errorf("what ip says of %s makes no sense: %w", m.dev, err)
		}
		c = cards[0]
		return nil
	})
	return c, err
}

// batch runs commands of ip, one a line, on the machine.
func (m *machine) batch(lines string) error {
	return m.in(func() error {
		cmd := exec.Command("ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(lines)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("ip -batch: %w: %s", err, strings.TrimSpace(string(out)))
		}
		return nil
	})
}
