package testnet

import (
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// rules puts a table of nftables in the place of the one of that name, at once.
func (s *space) rules(table string, family nftables.TableFamily, write func(ruleset) error) error {
	c, err := nftables.New(nftables.WithNetNSFd(int(s.ns)))
	if err != nil {
		return fmt.Errorf("speak with nftables: %w", err)
	}
	t := &nftables.Table{Name: table, Family: family}
	c.AddTable(t) // or there might be nothing to delete
	c.DelTable(t)
	if err := write(ruleset{c, c.AddTable(t)}); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		cause, _, _ := strings.Cut(err.Error(), "\n") // and a line for each rule that comes after the one that is refused
		return fmt.Errorf("give nftables the rules %q: %s%s", table, cause, lackOf(err, "nftables, or not the part of it that this takes"))
	}
	return nil
}

// ruleset is a table under construction.
type ruleset struct {
	*nftables.Conn
	table *nftables.Table
}

func (r ruleset) chain(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority nftables.ChainPriority) *nftables.Chain {
	return r.AddChain(&nftables.Chain{Name: name, Table: r.table, Type: kind, Hooknum: hook, Priority: &priority})
}

// rule adds a rule that consists of the parts, one after the other.
func (r ruleset) rule(chain *nftables.Chain, parts ...[]expr.Any) {
	rule := &nftables.Rule{Table: r.table, Chain: chain}
	for _, p := range parts {
		rule.Exprs = append(rule.Exprs, p...)
	}
	r.AddRule(rule)
}

func device(way expr.MetaKey, name string) []expr.Any {
	return []expr.Any{&expr.Meta{Key: way, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: ifname(name)}}
}

func transport(protocol byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
	}
}

// mask holds if a property of a connection has one of the bits.
func mask(key expr.CtKey, bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: key, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }

// ifname is the name of a device as the kernel compares it.
func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}
