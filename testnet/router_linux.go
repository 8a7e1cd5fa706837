package testnet

import (
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// wanDevice is a router's device on the side of the world. All of its other devices are inside.
const wanDevice = "wan"

// filterName is the name of tables that say what passes.
const filterName = "shoal"

// openTime is how long a Cone lets strangers in by a port that nobody inside sends from any more.
const openTime = 2 * time.Minute

// dnatDone is the status of a connection whose destination was translated (IPS_DST_NAT in nf_conntrack_common.h).
const dnatDone = 1 << 5

// translate makes a namespace a router that shares the address of its wan device.
//
// Linux keeps a port where it can, which makes the mapping one for all destinations. Who comes unasked is dropped without an
// answer: a refusal would end the very attempt to punch a hole.
func (s *space) translate(kind NAT) error {
	if err := s.forward(); err != nil {
		return err
	}
	return s.rules(filterName, nftables.TableFamilyIPv4, func(r ruleset) error {
		r.guard("input", nftables.ChainHookInput)
		r.guard("forward", nftables.ChainHookForward, mask(expr.CtKeySTATUS, dnatDone))
		r.rule(r.chain("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource),
			device(expr.MetaKeyOIFNAME, wanDevice), []expr.Any{&expr.Masq{FullyRandom: kind == Symmetric}})
		if kind == Cone {
			return r.open()
		}
		return nil
	})
}

// forward lets a namespace hand on what is not for itself.
func (s *space) forward() error {
	if err := s.set("net/ipv4/ip_forward", "1"); err != nil {
		return fmt.Errorf("forward packets: %w", err)
	}
	return nil
}

// guard drops what comes from the world but belongs to nothing that was begun inside, and is not welcome for another reason.
func (r ruleset) guard(name string, hook *nftables.ChainHook, welcome ...[]expr.Any) {
	chain := r.chain(name, nftables.ChainTypeFilter, hook, *nftables.ChainPriorityFilter)
	begun := mask(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
	for _, w := range append(welcome, begun) {
		r.rule(chain, device(expr.MetaKeyIIFNAME, wanDevice), w, verdict(expr.VerdictAccept))
	}
	r.rule(chain, device(expr.MetaKeyIIFNAME, wanDevice), verdict(expr.VerdictDrop))
}

// open lets everybody in by a port from which somebody inside sends, and remembers who that is.
func (r ruleset) open() error {
	leaving := r.chain("leaving", nftables.ChainTypeFilter, nftables.ChainHookPostrouting, *nftables.ChainPriorityFilter)
	coming := r.chain("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, *nftables.ChainPriorityNATDest)
	for name, protocol := range map[string]byte{"udp": unix.IPPROTO_UDP, "tcp": unix.IPPROTO_TCP} {
		ports := &nftables.Set{
			Table: r.table, Name: name, IsMap: true, Dynamic: true, HasTimeout: true, Timeout: openTime,
			KeyType: nftables.TypeInetService, DataType: nftables.TypeIPAddr,
		}
		if err := r.AddSet(ports, nil); err != nil {
			return fmt.Errorf("the open ports: %w", err)
		}
		r.rule(leaving, device(expr.MetaKeyOIFNAME, wanDevice), transport(protocol), []expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2}, // source port
			&expr.Payload{DestRegister: 2, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4},  // source address
			&expr.Dynset{SrcRegKey: 1, SrcRegData: 2, SetName: name, SetID: ports.ID, Operation: unix.NFT_DYNSET_OP_UPDATE},
		})
		r.rule(coming, device(expr.MetaKeyIIFNAME, wanDevice), transport(protocol), []expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}, // destination port
			&expr.Lookup{SourceRegister: 1, DestRegister: 1, IsDestRegSet: true, SetName: name, SetID: ports.ID},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1},
		})
	}
	return nil
}
