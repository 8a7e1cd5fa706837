package testnet

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// filter is what the bridges of a namespace do not let through.
type filter struct {
	loss  map[string]float64 // share of the frames that get lost at a port, each way
	sides [][]string         // ports: nothing passes from one side to another, or to a port on no side
}

// chances are the values among which chance draws for a frame: a loss of a millionth is the smallest.
const chances = 1_000_000

// apply puts a filter in the place of the one before.
func (f filter) apply(s *space) error {
	return s.rules(filterName, nftables.TableFamilyBridge, func(r ruleset) error {
		if len(f.loss) == 0 && len(f.sides) == 0 {
			return nil // and no packet is looked at
		}
		chain := r.chain("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, *nftables.ChainPriorityFilter)
		for i, side := range f.sides {
			if err := r.separate(chain, fmt.Sprintf("side%d", i), side); err != nil {
				return err
			}
		}
		for _, port := range slices.Sorted(maps.Keys(f.loss)) {
			r.lose(chain, expr.MetaKeyIIFNAME, port, f.loss[port])
			r.lose(chain, expr.MetaKeyOIFNAME, port, f.loss[port])
		}
		return nil
	})
}

// separate drops what goes from a port of a side to a port that is not on it.
func (r ruleset) separate(chain *nftables.Chain, name string, side []string) error {
	ports := &nftables.Set{Table: r.table, Name: name, KeyType: nftables.TypeIFName}
	var elements []nftables.SetElement
	for _, port := range side {
		elements = append(elements, nftables.SetElement{Key: ifname(port)})
	}
	if err := r.AddSet(ports, elements); err != nil {
		return fmt.Errorf("the ports of a side: %w", err)
	}
	r.rule(chain, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Lookup{SourceRegister: 1, SetName: ports.Name, SetID: ports.ID},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Lookup{SourceRegister: 1, SetName: ports.Name, SetID: ports.ID, Invert: true},
	}, verdict(expr.VerdictDrop))
	return nil
}

// lose drops a share of what comes in by a port, or goes out.
func (r ruleset) lose(chain *nftables.Chain, way expr.MetaKey, port string, share float64) {
	r.rule(chain, device(way, port), []expr.Any{
		&expr.Numgen{Register: 1, Modulus: chances, Type: unix.NFT_NG_RANDOM},
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binaryutil.BigEndian.PutUint32(uint32(math.Round(share * chances)))},
	}, verdict(expr.VerdictDrop))
}
