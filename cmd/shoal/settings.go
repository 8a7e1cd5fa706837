package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
	"github.com/spf13/pflag"

	"github.com/shoal-p2p/shoal/node"
)

// settings are what a node is started with. Each can be a flag, and a line of config.yaml in the home under the name of the
// flag; a flag wins.
type settings struct {
	Network    node.Network
	Listen     []string
	Bootstrap  []string
	DHTPrefix  string
	Name       string // that neighbours are told
	Ephemeral  bool
	Allow      []string
	Block      []string
	RelayPeers []string
	IsRelay    bool
	Relay      node.RelayService // used if IsRelay
	Rates      node.Rates
	node.Switches
}

// startFlags are those that mean nothing to a node that runs already. What limits rates, and the network, have words of
// their own.
var startFlags = []string{
	"listen", "bootstrap", "dht-prefix", "node-name", "ephemeral", "no-mdns", "no-dht", "no-relay", "no-upnp", "relay-peer", "relay",
}

func (s *settings) flags(f *pflag.FlagSet) {
	f.StringVar((*string)(&s.Network), "network", "", "isolated: talk to named peers only; lan: find others on the local network; public: and on the internet (default lan)")
	f.StringSliceVar(&s.Listen, "listen", nil, "multiaddrs to listen on (default: every interface)")
	f.StringSliceVar(&s.Bootstrap, "bootstrap", nil, "multiaddrs with /p2p/ of peers through which to join the DHT; 'ipfs' stands for those of the public IPFS network")
	f.StringVar(&s.Name, "node-name", "", "what neighbours are told that this node is called (default: the name of this machine)")
	f.BoolVar(&s.Ephemeral, "ephemeral", false, "be a new peer for this run, without the name of this machine, and keep neither key nor name")
	f.StringVar(&s.DHTPrefix, "dht-prefix", "", "a name like /acme: be in the closed DHT of the nodes that have the same")
	f.BoolVar(&s.NoMDNS, "no-mdns", false, "do not announce or look for peers on the local network by mDNS")
	f.BoolVar(&s.NoDHT, "no-dht", false, "do not take part in a DHT")
	f.StringSliceVar(&s.RelayPeers, "relay-peer", nil, "multiaddrs with /p2p/ of relays to be found through behind a NAT; bootstrap peers are asked anyway")
	f.BoolVar(&s.NoRelay, "no-relay", false, "use no relay, and so punch no holes into NATs")
	f.BoolVar(&s.NoUPnP, "no-upnp", false, "do not ask the router to forward a port (UPnP, NAT-PMP)")
}

// settings are those that were typed, and for the others those of the home's configuration file.
func (a *app) settings() (settings, error) {
	set, err := readConfig(filepath.Join(a.home, "config.yaml"))
	if err != nil {
		return set, err
	}
	take(a, &set.Network, a.typed.Network, "network")
	take(a, &set.Listen, a.typed.Listen, "listen")
	take(a, &set.Bootstrap, a.typed.Bootstrap, "bootstrap")
	take(a, &set.Name, a.typed.Name, "node-name")
	take(a, &set.Ephemeral, a.typed.Ephemeral, "ephemeral")
	take(a, &set.DHTPrefix, a.typed.DHTPrefix, "dht-prefix")
	take(a, &set.NoMDNS, a.typed.NoMDNS, "no-mdns")
	take(a, &set.NoDHT, a.typed.NoDHT, "no-dht")
	take(a, &set.NoRelay, a.typed.NoRelay, "no-relay")
	take(a, &set.NoUPnP, a.typed.NoUPnP, "no-upnp")
	take(a, &set.RelayPeers, a.typed.RelayPeers, "relay-peer")
	take(a, &set.IsRelay, a.typed.IsRelay, "relay")
	take(a, &set.Relay.Allow, a.typed.Relay.Allow, "relay-allow")
	take(a, &set.Relay.Reservations, a.typed.Relay.Reservations, "relay-nodes")
	take(a, &set.Relay.Circuits, a.typed.Relay.Circuits, "relay-circuits")
	take(a, &set.Relay.Duration, a.typed.Relay.Duration, "relay-time")
	take(a, &set.Relay.Data, a.typed.Relay.Data, "relay-data")
	if len(a.typed.Allow) > 0 { // 'share' has a flag of this name that means something else
		set.Allow = a.typed.Allow
	}
	take(a, &set.Block, a.typed.Block, "block")
	take(a, &set.Rates.Up, a.typed.Rates.Up, "up-rate")
	take(a, &set.Rates.Down, a.typed.Rates.Down, "down-rate")
	take(a, &set.Rates.PeerUp, a.typed.Rates.PeerUp, "peer-up-rate")
	take(a, &set.Rates.PeerDown, a.typed.Rates.PeerDown, "peer-down-rate")
	take(a, &set.Rates.ExemptLAN, a.typed.Rates.ExemptLAN, "exempt-lan")
	return set, nil
}

// take prefers what was typed.
func take[T any](a *app, to *T, typed T, flag string) {
	if a.explicit(flag) {
		*to = typed
	}
}

const (
	maxConfig  = 16 << 10 // bytes of the configuration file
	maxNesting = 8        // brackets in brackets: the parser's work grows with the square of their number
)

func readConfig(path string) (settings, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return settings{}, nil
	}
	if err != nil {
		return settings{}, fmt.Errorf("%w: %w", node.ErrDisk, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return settings{}, fmt.Errorf("%w: %w", node.ErrDisk, err)
	}
	set, err := parseConfig(b)
	if err != nil {
		return settings{}, &advised{usage("%s: %s", path, err), "correct that file, or move it away: flags can say the same"}
	}
	return set, nil
}

// config is the file as it is written.
type config struct {
	Network      node.Network `yaml:"network"`
	Listen       []string     `yaml:"listen"`
	Bootstrap    []string     `yaml:"bootstrap"`
	Name         string       `yaml:"node-name"`
	Ephemeral    bool         `yaml:"ephemeral"`
	DHTPrefix    string       `yaml:"dht-prefix"`
	NoMDNS       bool         `yaml:"no-mdns"`
	NoDHT        bool         `yaml:"no-dht"`
	NoRelay      bool         `yaml:"no-relay"`
	NoUPnP       bool         `yaml:"no-upnp"`
	RelayPeers   []string     `yaml:"relay-peer"`
	Relay        bool         `yaml:"relay"`
	RelayAllow   []string     `yaml:"relay-allow"`
	RelayNodes   int          `yaml:"relay-nodes"`
	Circuits     int          `yaml:"relay-circuits"`
	RelayTime    string       `yaml:"relay-time"`
	RelayData    string       `yaml:"relay-data"`
	Allow        []string     `yaml:"allow"`
	Block        []string     `yaml:"block"`
	UpRate       string       `yaml:"up-rate"`
	DownRate     string       `yaml:"down-rate"`
	PeerUpRate   string       `yaml:"peer-up-rate"`
	PeerDownRate string       `yaml:"peer-down-rate"`
	ExemptLAN    bool         `yaml:"exempt-lan"`
}

// parseConfig reads a configuration. Its errors name the line and the key.
func parseConfig(text []byte) (settings, error) {
	var c config
	if err := decodeConfig(text, &c); err != nil {
		return settings{}, err
	}
	set := settings{
		Network: c.Network, Listen: c.Listen, Bootstrap: c.Bootstrap, DHTPrefix: c.DHTPrefix, Name: c.Name, Ephemeral: c.Ephemeral,
		Switches:   node.Switches{NoMDNS: c.NoMDNS, NoDHT: c.NoDHT, NoRelay: c.NoRelay, NoUPnP: c.NoUPnP},
		RelayPeers: c.RelayPeers, IsRelay: c.Relay,
		Relay: node.RelayService{Allow: c.RelayAllow, Reservations: c.RelayNodes, Circuits: c.Circuits},
		Rates: node.Rates{ExemptLAN: c.ExemptLAN},
		Allow: c.Allow, Block: c.Block,
	}
	if c.Network != "" && !c.Network.Known() {
		return settings{}, fmt.Errorf("network: %q is none of isolated, lan, public", c.Network)
	}
	if err := c.relayLimits(&set.Relay); err != nil {
		return settings{}, err
	}
	for _, r := range []struct {
		key, text string
		to        *int64
	}{
		{"up-rate", c.UpRate, &set.Rates.Up},
		{"down-rate", c.DownRate, &set.Rates.Down},
		{"peer-up-rate", c.PeerUpRate, &set.Rates.PeerUp},
		{"peer-down-rate", c.PeerDownRate, &set.Rates.PeerDown},
	} {
		if r.text == "" {
			continue
		}
		v, err := parseRate(r.text)
		if err != nil {
			return settings{}, fmt.Errorf("%s: %w", r.key, err)
		}
		*r.to = v
	}
	return set, nil
}

// decodeConfig reads YAML without anchors, of which a page can stand for more than memory holds, and without tags. What the
// library does not take well beyond those, it says by a panic.
func decodeConfig(text []byte, c *config) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("makes no sense as YAML: %v", p)
		}
	}()
	if len(text) > maxConfig {
		return fmt.Errorf("longer than %s", size(maxConfig))
	}
	tokens := lexer.Tokenize(string(text))
	if line := tooDeep(tokens); line > 0 {
		return fmt.Errorf("line %d: nested too deep", line)
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return plainYAML(err)
	}
	if len(file.Docs) > 1 {
		return errors.New("holds more than one document")
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		var v noFrills
		ast.Walk(&v, doc.Body)
		if v.line > 0 {
			return fmt.Errorf("line %d: anchors, aliases and tags are not understood here", v.line)
		}
		if err := yaml.NodeToValue(doc.Body, c, yaml.Strict()); err != nil {
			return plainYAML(err)
		}
	}
	return nil
}

// tooDeep returns the line on which brackets are nested deeper than any setting is, or 0.
func tooDeep(tokens token.Tokens) (line int) {
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		}
		if depth > maxNesting {
			return t.Position.Line
		}
	}
	return 0
}

type noFrills struct{ line int }

func (v *noFrills) Visit(n ast.Node) ast.Visitor {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode, *ast.TagNode:
		v.line = n.GetToken().Position.Line
	}
	return v
}

// plainYAML says on one line where a configuration is wrong.
func plainYAML(err error) error {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil {
		return fmt.Errorf("line %d: %s", at.GetToken().Position.Line, at.GetMessage())
	}
	return err
}
