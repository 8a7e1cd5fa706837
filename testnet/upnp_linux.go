package testnet

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// upnpDaemon is what many routers run.
const upnpDaemon = "miniupnpd"

// upnpTable is where it writes what it was asked for.
const upnpTable = "upnp"

// LackUPnP returns why no router of a Lab can speak UPnP, in a few words, or nil.
func LackUPnP() error {
	if _, err := exec.LookPath(upnpDaemon); err != nil {
		return errors.New("there is no " + upnpDaemon)
	}
	return nil
}

// ServeUPnP lets the machines behind a router ask it to forward ports, by UPnP and NAT-PMP. It returns the program that
// answers them, which the caller has to end.
func (r *Router) ServeUPnP() (*exec.Cmd, error) {
	err := r.rules(upnpTable, nftables.TableFamilyINet, func(rules ruleset) error {
		// The daemon fills the first of each pair, which is asked by the second.
		rules.ask("allowed", rules.chain("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, -5))
		rules.ask("mapped", rules.chain("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, *nftables.ChainPriorityNATDest))
		rules.ask("peers", rules.chain("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, 90))
		return nil
	})
	if err != nil {
		return nil, err
	}
	config := strings.Join([]string{
		"ext_ifname=wan", "listening_ip=lan", "enable_natpmp=yes", "enable_upnp=yes", "secure_mode=yes", "system_uptime=yes",
		"upnp_table_name=" + upnpTable, "upnp_nat_table_name=" + upnpTable, "upnp_forward_chain=allowed", "upnp_nat_chain=mapped",
		"upnp_nat_postrouting_chain=peers", "uuid=fd425095-7dbb-4248-99a5-f49ed19c4b74",
		"allow 1024-65535 192.168.1.0/24 1024-65535", "deny 0-65535 0.0.0.0/0 0-65535", "",
	}, "\n")
	// Bash gives the configuration as a file that is nowhere on a disk.
	cmd := r.Command("bash", "-c", fmt.Sprintf("exec %s -d -P /dev/null -f /dev/fd/3 3<<<\"$1\"", upnpDaemon), "bash", config)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return cmd, nil
}

// ask adds a chain without rules, and a rule to another one that goes through it.
func (r ruleset) ask(name string, by *nftables.Chain) {
	r.AddChain(&nftables.Chain{Name: name, Table: r.table})
	r.rule(by, []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: name}})
}
