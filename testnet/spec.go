package testnet

import (
	"fmt"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// Config says what to put up. Dir, Shoal and Nodes must be set.
type Config struct {
	Dir    string // absolute: the Net's own folder, made by Up and removed by Down
	Ground string // Processes if empty
	Shoal  string // path of the program; with Containers it must be static
	Nodes  []Spec
	Usual  Spec // what those that are added later are like, if nobody says otherwise; its Name means nothing
	Stay   bool // when the process that puts it up ends without Down, the network is no leftover
}

// Spec describes one node.
type Spec struct {
	Name     string   `json:"name"`
	Group    string   `json:"group,omitempty"`
	Role     string   `json:"role,omitempty"` // Honest, Liar, Staller or FreeRider; empty: Honest
	Link     Link     `json:"link,omitzero"`
	Networks []string `json:"networks,omitempty"` // that it is in; none: the one in which all are that name none
	NAT      string   `json:"nat,omitempty"`      // the kind of router before it
	Flags    []string `json:"flags,omitempty"`    // of shoal serve
}

// MaxNodes is how many nodes a Net may have: each is a process. Larger swarms are simulated.
const MaxNodes = 1000

// names are those that are safe as a folder, a container and part of an interface, and cannot be taken for a number of nodes.
var names = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// CheckName says what is wrong with the name of a node or a Net, or returns nil.
func CheckName(name string) error {
	if !names.MatchString(name) {
		return fmt.Errorf("%w: the name %q: use a small letter, then up to 30 small letters, digits and hyphens", ErrRequest, name)
	}
	return nil
}

// Numbered returns n nodes whose names begin with prefix, counted from 1 upwards without those that are taken.
func Numbered(prefix string, n int, taken []Node) []Spec {
	used := make(map[string]bool, len(taken))
	for _, t := range taken {
		used[t.Name] = true
	}
	var out []Spec
	for i := 1; len(out) < n; i++ {
		if name := fmt.Sprintf("%s%d", prefix, i); !used[name] {
			out = append(out, Spec{Name: name})
		}
	}
	return out
}

func (c *Config) validate() error {
	if !filepath.IsAbs(c.Dir) || !filepath.IsAbs(c.Shoal) {
		return fmt.Errorf("%w: the folder and the program need absolute paths", ErrRequest)
	}
	if c.Ground == "" {
		c.Ground = Processes
	}
	if len(c.Nodes) == 0 {
		return fmt.Errorf("%w: a test network needs a node at least", ErrRequest)
	}
	return checkSpecs(c.Dir, c.Nodes, nil)
}

// checkSpecs looks at nodes that are to join those that are there.
func checkSpecs(dir string, specs []Spec, there []*Node) error {
	if total := len(specs) + len(there); total > MaxNodes {
		return fmt.Errorf("%w: %d nodes are more than the %d that a test network may have", ErrRequest, total, MaxNodes)
	}
	taken := make(map[string]bool)
	for _, n := range there {
		taken[n.Name] = true
	}
	for _, s := range specs {
		if err := CheckName(s.Name); err != nil {
			return err
		}
		if taken[s.Name] {
			return fmt.Errorf("%w: there is a node %s already", ErrRequest, s.Name)
		}
		taken[s.Name] = true
		if slices.ContainsFunc(s.Flags, func(f string) bool { return f == "--home" || strings.HasPrefix(f, "--home=") }) {
			return fmt.Errorf("%w: node %s: each node has a home of its own here, so --home cannot be chosen", ErrRequest, s.Name)
		}
		if err := checkSocket(socketOf(homeOf(dir, s.Name))); err != nil {
			return err
		}
	}
	return nil
}

// maxSocket is how long the path of a socket may be where the system has no way around that, with what is put behind it for a
// moment while the socket is made.
const maxSocket = 103 - len(".4194304")

func checkSocket(path string) error {
	if runtime.GOOS != "linux" && len(path) > maxSocket { // Linux has /proc/self/fd
		return fmt.Errorf("%w: the path %s is longer than the %d bytes that a control socket may have: choose a shorter folder or names",
			ErrRequest, path, maxSocket)
	}
	return nil
}
