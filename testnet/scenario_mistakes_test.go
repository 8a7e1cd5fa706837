package testnet

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// cast and sound are what a mistake may be added to: a sound scenario of two groups and a content.
const (
	cast  = "groups: [{name: a, nodes: 3}, {name: b}]\ncontent: [{name: film, size: 1MiB}]\n"
	sound = cast + "steps:\n- {at: 0s, share: film, by: b}\n- {at: 1s, fetch: film, by: a}\n"
)

// entries is a list in brackets of n times the same.
func entries(n int, entry string) string { return "[" + strings.Repeat(entry+", ", n) + "]" }

// mistakes are files, and what is said of each: nothing, or a part of it.
var mistakes = []struct{ name, text, want string }{
	{"a sound scenario", sound, ""},
	{"nothing", "", "line 1: the file is empty"},
	{"a comment", "# nothing\n", "is empty"},
	{"an empty document", "---\n", "is empty"},
	{"null", "~\n", "is empty"},
	{"two documents", cast + "---\n" + cast, "line 3: here a second YAML document begins"},
	{"bytes", "\x7fELF\x02\x00", "line 1: this is not text"},
	{"no UTF-8", "name: a\nabout: \xff\n", "line 2: this is not text"},
	{"no YAML", "groups: [\n", "line 1: "},
	{"a list", "- a\n", `line 1: this is a list, and keys with values are needed`},
	{"a word", "hello\n", `line 1: this is "hello"`},
	{"an unknown key", "grups: []\n" + cast, `line 1: "grups" is no key here; there are name`},
	{"an unknown key inside", "groups:\n- name: a\n  node: 3\n", `line 3: groups[1]: "node" is no key here`},
	{"a key twice", "seed: 1\nseed: 2\n" + cast, "line 2"},
	{"an anchor", "groups:\n- {name: a}\n- {name: b, link: &a {rate: 1M}}\n", "line 3: groups[2].link: anchors, aliases and tags"},
	{"a cycle", "groups: &a [*a]\n", "line 1: groups: anchors, aliases and tags"},
	{"a tag", "groups: !!seq [{name: a}]\n", "line 1: groups: anchors, aliases and tags"},
	{"a merge", "groups:\n- {<<: {name: a}}\n", "line 2: "},
	{"as deep as may be", "name: " + strings.Repeat("[", maxBrackets) + strings.Repeat("]", maxBrackets), "this is a list"},
	{"deeper by one", "name: " + strings.Repeat("[", maxBrackets+1) + strings.Repeat("]", maxBrackets+1), "line 1: is nested too deep"},
	{"as far right as may be", "\n" + strings.Repeat(" ", maxIndent-1) + "- a\n", "this is a list"},
	{"further by one", "\n" + strings.Repeat(" ", maxIndent) + "- a\n", "line 2: is nested too deep"},
	{"as long as may be", sound + "#" + strings.Repeat(" ", maxText-len(sound)-1), ""},
	{"longer by one", sound + "#" + strings.Repeat(" ", maxText-len(sound)), "longer than 64 KiB"},

	{"no groups", "name: x\n", "line 1: groups is missing"},
	{"empty groups", "groups: []\n", "line 1: groups: there has to be one at least"},
	{"groups as keys", "groups: {a: 3}\n", "line 1: groups: this is keys with values, and a list is needed"},
	{"a group without a name", "groups: [{nodes: 3}]\n", "line 1: groups[1]: name is missing"},
	{"a group twice", "groups: [{name: a}, {name: a}]\n", `line 1: groups[2].name: there is another "a"`},
	{"a node called as a group", "groups: [{name: a, nodes: 2}, {name: a-2}]\n", `there is another "a-2"`},
	{"a group called all", "groups: [{name: all}]\n", `"all" stands for all nodes`},
	{"a name with a slash", "groups: [{name: ../a}]\n", `line 1: groups[1].name: "../a": a name is made of`},
	{"as long a name as may be", "groups: [{name: " + strings.Repeat("a", maxName) + "}]\n", ""},
	{"longer by one", "groups: [{name: " + strings.Repeat("a", maxName+1) + "}]\n", "groups[1].name: has 25 bytes"},
	{"no nodes", "groups: [{name: a, nodes: 0}]\n", "line 1: groups[1].nodes: 0 is not from 1 to 10000"},
	{"-1 nodes", "groups: [{name: a, nodes: -1}]\n", "groups[1].nodes: -1 is not from 1"},
	{"10^9 nodes", "groups: [{name: a, nodes: 1000000000}]\n", "groups[1].nodes: 1000000000 is not from 1"},
	{"more nodes than a number holds", "groups: [{name: a, nodes: 99999999999999999999}]\n", "is not from 1"},
	{"nodes in words", "groups: [{name: a, nodes: many}]\n", `groups[1].nodes: "many": write a whole number`},
	{"half a node", "groups: [{name: a, nodes: 0.5}]\n", `"0.5": write a whole number`},
	{"nodes as a list", "groups: [{name: a, nodes: [1]}]\n", "this is a list, and one value is needed"},
	{"as many nodes as may be", "groups: [{name: a, nodes: 9999}, {name: b}]\n", ""},
	{"one more", "groups: [{name: a, nodes: 9999}, {name: b, nodes: 2}]\n", "groups[2].name: with this group there are 10001 nodes"},
	{"as many groups as may be", "groups:\n" + groups(maxGroups), ""},
	{"one more group", "groups:\n" + groups(maxGroups+1), "line 2: groups: has 1001 entries"},
	{"no such role", "groups: [{name: a, role: thief}]\n", `groups[1].role: "thief" is none of honest, liar`},
	{"no such NAT", "groups: [{name: a, nat: full}]\n", `groups[1].nat: "full" is none of cone, port-restricted, symmetric`},
	{"as many networks as may be", "groups: [{name: a, networks: " + entries(maxNetworks, "x") + "}]\n", ""},
	{"one more network", "groups: [{name: a, networks: " + entries(maxNetworks+1, "x") + "}]\n", "networks: has 9 entries"},
	{"as many flags as may be", "groups: [{name: a, flags: " + entries(maxFlags, "--no-dht") + "}]\n", ""},
	{"one more flag", "groups: [{name: a, flags: " + entries(maxFlags+1, "--no-dht") + "}]\n", "flags: has 33 entries"},
	{"as long a flag as may be", "groups: [{name: a, flags: [--" + strings.Repeat("x", maxFlag-2) + "]}]\n", ""},
	{"longer by one", "groups: [{name: a, flags: [--" + strings.Repeat("x", maxFlag-1) + "]}]\n", "flags[1]: has 1025 bytes"},
	{"a flag that is none", "groups: [{name: a, flags: [rm]}]\n", `flags[1]: "rm": a flag of 'shoal serve' begins with --`},
	{"a home of its own", "groups: [{name: a, flags: [--home=/]}]\n", "--home is not for a scenario to say"},

	{"a negative rate", "link: {rate: -5Mbit}\n" + cast, "line 1: link.rate: -5Mbit is not from 1KiB to 1000Gbit a second"},
	{"as slow as may be", "link: {rate: 1KiB}\n" + cast, ""},
	{"slower", "link: {rate: 1023}\n" + cast, "is not from 1KiB"},
	{"as fast as may be", "link: {rate: 1000Gbit}\n" + cast, ""},
	{"faster", "link: {rate: 1000.001Gbit}\n" + cast, "is not from 1KiB"},
	{"a rate without meaning", "link: {rate: fast}\n" + cast, `link.rate: "fast": write a rate as`},
	{"a rate that is no number", "link: {rate: .nan}\n" + cast, "link.rate: "},
	{"an infinite rate", "link: {rate: .inf}\n" + cast, "link.rate: "},
	{"as late as may be", "link: {delay: 1m}\n" + cast, ""},
	{"later", "link: {delay: 60001ms}\n" + cast, "link.delay: 60001ms is not from 0s to 1m0s"},
	{"a negative delay", "link: {delay: -1ms}\n" + cast, "link.delay: -1ms is not"},
	{"a delay without a unit", "link: {delay: 5}\n" + cast, `"5": write a time as`},
	{"jitter beyond the delay", "link: {delay: 1ms, jitter: 2ms}\n" + cast, "line 1: link: a jitter of 2ms is more than the delay of 1ms"},
	{"all is lost", "link: {loss: 100%}\n" + cast, ""},
	{"more than all is lost", "link: {loss: 100.1%}\n" + cast, `link.loss: "100.1%": write a share as`},
	{"a loss without %", "link: {loss: 0.1}\n" + cast, `"0.1": write a share as`},
	{"as small an MTU as may be", "link: {mtu: 576}\n" + cast, ""},
	{"smaller by one", "link: {mtu: 575}\n" + cast, "link.mtu: 575 is not from 576 to 9000"},
	{"as large an MTU as may be", "link: {mtu: 9000}\n" + cast, ""},
	{"larger by one", "link: {mtu: 9001}\n" + cast, "link.mtu: 9001 is not"},

	{"an about of two lines", "about: \"a\\nb\"\n" + cast, "line 1: about: has to be one line"},
	{"as long an about as may be", "about: " + strings.Repeat("x", maxAbout) + "\n" + cast, ""},
	{"longer by one", "about: " + strings.Repeat("x", maxAbout+1) + "\n" + cast, "about: has 201 bytes"},
	{"a negative seed", "seed: -1\n" + cast, "line 1: seed: -1 is not"},
	{"as long a run as may be", "limit: 24h\n" + cast, ""},
	{"a longer run", "limit: 24h1ns\n" + cast, "limit: 24h1ns is not from 1s to 24h0m0s"},
	{"a run of no time", "limit: 0s\n" + cast, "limit: 0s is not"},

	{"content of nothing", "groups: [{name: a}]\ncontent: [{name: x, size: 0}]\n", "line 2: content[1].size: 0 is not from 1 byte to 1024 GiB"},
	{"content of less", "groups: [{name: a}]\ncontent: [{name: x, size: -1MiB}]\n", "content[1].size: -1MiB is not"},
	{"as much content as may be", "groups: [{name: a}]\ncontent: [{name: x, size: 1024GiB}]\n", ""},
	{"a byte more", "groups: [{name: a}]\ncontent: [{name: x, size: 1099511627777}]\n", "content[1].size: 1099511627777 is not"},
	{"half a byte", "groups: [{name: a}]\ncontent: [{name: x, size: 0.5}]\n", "write a size as"},
	{"a size in bits", "groups: [{name: a}]\ncontent: [{name: x, size: 8Mbit}]\n", "write a size as"},
	{"as many files as may be", "groups: [{name: a}]\ncontent: [{name: x, size: 1MiB, files: 100000}]\n", ""},
	{"one more file", "groups: [{name: a}]\ncontent: [{name: x, size: 1MiB, files: 100001}]\n", "files: 100001 is not from 1 to 100000"},
	{"more files than bytes", "groups: [{name: a}]\ncontent: [{name: x, size: 5, files: 6}]\n", "6 files of 5 bytes together"},
	{"content twice", "groups: [{name: a}]\ncontent: [{name: x, size: 5}, {name: x, size: 5}]\n", `line 2: content[2].name: there is another "x"`},
	{"as many contents as may be", "groups: [{name: a}]\ncontent:\n" + contents(maxContents), ""},
	{"one more content", "groups: [{name: a}]\ncontent:\n" + contents(maxContents+1), "content: has 1001 entries"},

	{"a step that does nothing", sound + "- {at: 1s}\n", "line 6: steps[3]: a step does one of share, fetch"},
	{"a step that does two things", sound + "- {at: 1s, kill: a, stop: b}\n", "and this one 2 of them"},
	{"a step at no time", sound + "- {kill: a}\n", "line 6: steps[3]: at is missing"},
	{"a step before the beginning", sound + "- {at: -1s, kill: a}\n", "steps[3].at: -1s is not from 0s to 5m0s"},
	{"a step at the end", sound + "- {at: 5m, kill: a-1}\n", ""},
	{"a step after the end", sound + "- {at: 5m1s, kill: a}\n", "steps[3].at: 5m1s is not"},
	{"an unknown node", sound + "- {at: 1s, kill: a-4}\n", `line 6: steps[3].kill: there is no node or group "a-4"`},
	{"an unknown content", sound + "- {at: 1s, fetch: book, by: a}\n", `line 6: steps[3].fetch: there is no content "book"`},
	{"an unknown node in a list", sound + "- {at: 1s, kill: [a-1, c]}\n", `steps[3].kill[2]: there is no node or group "c"`},
	{"a share without anybody", cast + "steps: [{at: 0s, share: film}]\n", "steps[1]: by is missing"},
	{"a fetch of what nobody shares", cast + "steps: [{at: 0s, fetch: film, by: a}]\n", "line 3: steps: film is fetched at 0s, and nobody shares it before"},
	{"a fetch from nowhere", sound + "- {at: 1s, fetch: film, by: b, from: cloud}\n", `steps[3].from: "cloud" is none of cid, ticket, dht`},
	{"a fetch over more than there is", sound + "- {at: 4m, fetch: film, by: a, over: 61s}\n", "steps[3].over: 61s is not from 0s to 1m0s"},
	{"who shares fetches", sound + "- {at: 2s, fetch: film, by: b}\n", "line 6: steps: b has a step to share film already"},
	{"a liar that fetches", "groups: [{name: a}, {name: b, role: liar}]\ncontent: [{name: film, size: 1}]\nsteps: [{at: 0s, share: film, by: a}, {at: 0s, fetch: film, by: b}]", "b is a liar, and only shares"},
	{"a liar with a folder", "groups: [{name: b, role: liar}]\ncontent: [{name: film, size: 2, files: 2}]\nsteps: [{at: 0s, share: film, by: b}]", "line 3: steps: a liar shares single files of at most 1 GiB"},
	{"a liar with as much as may be", "groups: [{name: b, role: liar}]\ncontent: [{name: film, size: 1GiB}]\nsteps: [{at: 0s, share: film, by: b}]", ""},
	{"a liar with a byte more", "groups: [{name: b, role: liar}]\ncontent: [{name: film, size: 1073741825}]\nsteps: [{at: 0s, share: film, by: b}]", "a liar shares single files"},
	{"a freerider that shares", "groups: [{name: b, role: freerider}]\ncontent: [{name: film, size: 1}]\nsteps: [{at: 0s, share: film, by: b}]", "b is a freerider, and only fetches"},
	{"what means nothing there", sound + "- {at: 1s, kill: a, over: 3s}\n", "steps[3].over: means nothing with kill"},
	{"a heal that is none", sound + "- {at: 1s, heal: false}\n", `steps[3].heal: "false": write true`},
	{"slow without a link", sound + "- {at: 1s, slow: a}\n", "steps[3]: link is missing"},
	{"slow with a negative rate", sound + "- {at: 1s, slow: a, link: {up: -1}}\n", "steps[3].link.up: -1 is not"},
	{"a partition of one side", sound + "- {at: 1s, partition: [[all]]}\n", "steps[3].partition: all nodes are on one side"},
	{"a node on two sides", sound + "- {at: 1s, partition: [[a-1], [a-1, b]]}\n", `steps[3].partition[2][1]: "a-1" is on two sides`},
	{"a partition of words", sound + "- {at: 1s, partition: [a, b]}\n", `steps[3].partition[1]: this is "a", and a list is needed`},
	{"a share of whom", sound + "- {at: 1s, kill: {share: 50%}}\n", "steps[3].kill: of is missing"},
	{"too large a share", sound + "- {at: 1s, kill: {of: a, share: 150%}}\n", `steps[3].kill.share: "150%": write a share`},
	{"churn for ever", sound + "- {at: 1s, churn: a, every: 1s, down: 1s}\n", "steps[3]: until is missing"},
	{"as fast a churn as may be", sound + "- {at: 1s, churn: a, every: 10ms, down: 1s, until: 2s}\n", ""},
	{"a faster churn", sound + "- {at: 1s, churn: a, every: 9ms, down: 1s, until: 2s}\n", "steps[3].every: 9ms is not from 10ms"},
	{"a start after the end", sound + "- {at: 5m, restart: a}\n", "line 6: steps: this leads to a start at 5m1s, and the run ends at 5m0s"},
	{"as many steps as may be", sound + steps(maxSteps-2), ""},
	{"one more step", sound + steps(maxSteps-1), "steps: has 1001 entries"},
	{"more moments than may be", "limit: 24h\ngroups: [{name: a, nodes: 9999}]\nsteps: [{at: 0s, churn: a, every: 10ms, down: 0s, until: 24h}]", "line 3: steps: spread over nodes and time these are"},

	{"expectations on an unknown node", sound + "expect: [{alive: c}]\n", `line 6: expect[1].alive: there is no node or group "c"`},
	{"expectations on an unknown content", sound + "expect: [{equal: book}]\n", `line 6: expect[1].equal: there is no content "book"`},
	{"expecting nothing", sound + "expect: [{of: film}]\n", "expect[1]: is about none of complete, equal"},
	{"expecting two things", sound + "expect: [{alive: all, equal: film}]\n", "write two expectations"},
	{"an expectation with what means nothing there", sound + "expect: [{alive: all, within: 3s}]\n", "expect[1].within: means nothing with alive"},
	{"complete of nothing", sound + "expect: [{complete: a}]\n", "expect[1]: of is missing"},
	{"complete by who fetches nothing", sound + "expect: [{complete: b, of: film}]\n", "line 6: expect[1].complete: no step lets any of them fetch film"},
	{"a multiple of no bound", sound + "expect: [{complete: a, of: film, within: 1.5x}]\n", "expect[1].within: no link has a rate, so there is no bound"},
	{"less than the bound", "link: {rate: 1Mbit}\n" + sound + "expect: [{complete: a, of: film, within: 0.9x}]\n", "expect[1].within: 0.9x is not from 1x"},
	{"as much as the bound", "link: {rate: 1Mbit}\n" + sound + "expect: [{complete: a, of: film, within: 1x}]\n", ""},
	{"as many times as may be", sound + "expect: [{sent: a, most: 1000000x}]\n", ""},
	{"more times", sound + "expect: [{sent: a, most: 1000001x}]\n", "expect[1].most: 1000001x is not"},
	{"sent without an end", sound + "expect: [{sent: a}]\n", "expect[1]: most is missing"},
	{"a negative p95", sound + "expect: [{found: 100%, p95: -1s}]\n", "expect[1].p95: -1s is not"},
	{"as many expectations as may be", sound + "expect: " + entries(maxExpect, "{alive: all}"), ""},
	{"one more expectation", sound + "expect: " + entries(maxExpect+1, "{alive: all}"), "expect: has 101 entries"},
}

func groups(n int) string {
	return numbered(n, func(i int) string { return fmt.Sprintf("- {name: g%d}\n", i) })
}

func contents(n int) string {
	return numbered(n, func(i int) string { return fmt.Sprintf("- {name: c%d, size: 1}\n", i) })
}

func steps(n int) string {
	return numbered(n, func(int) string { return "- {at: 1s, heal: true}\n" })
}

func numbered(n int, line func(int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(line(i))
	}
	return b.String()
}

func TestMistakesAreNamedByLineAndField(t *testing.T) {
	for _, c := range mistakes {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseScenario([]byte(c.text))
			var wrong *ScenarioError
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case c.want != "" && (!errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")):
				t.Errorf("got %v, want one line that says %q", err, c.want)
			}
		})
	}
}

func TestAllMistakesAreListed(t *testing.T) {
	_, err := ParseScenario([]byte("limit: soon\n" + sound + "- {at: 1s, kill: nobody}\nexpect: [{alive: all, p95: 1s}]\nseed: x\n"))
	var wrong *ScenarioError
	if !errors.As(err, &wrong) || len(wrong.Faults) != 4 {
		t.Fatalf("got %v, want four mistakes", err)
	}
	for i, line := range []int{1, 7, 8, 9} {
		if got := wrong.Faults[i]; got.Line != line || got.Field == "" {
			t.Errorf("mistake %d is %v, want one of line %d, and its field", i, got, line)
		}
	}
	_, err = ParseScenario([]byte("groups: " + entries(12, "{name: A}")))
	if !errors.As(err, &wrong) || len(wrong.Faults) != maxFaults+1 || wrong.Faults[maxFaults].Text != "and 2 more" {
		t.Errorf("of twelve mistakes these are listed: %v", err)
	}
}
