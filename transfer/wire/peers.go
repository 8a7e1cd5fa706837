package wire

import "encoding/binary"

// check says what is wrong with a peer, if anything.
func (p Peer) check() (wrong string) {
	switch {
	case len(p.ID) == 0 || len(p.ID) > MaxPeerID:
		return "peer ID"
	case len(p.Addrs) == 0 || len(p.Addrs) > MaxPeerAddrs:
		return "number of addresses"
	}
	for _, a := range p.Addrs {
		if len(a) == 0 || len(a) > MaxAddr {
			return "address"
		}
	}
	return ""
}

func appendPeers(dst []byte, m Peers) ([]byte, error) {
	if len(m.Peers) > MaxPeers {
		return dst, fail(framePeers, Misuse, "number of peers")
	}
	fields := binary.AppendUvarint(nil, uint64(len(m.Peers)))
	for _, p := range m.Peers {
		if wrong := p.check(); wrong != "" {
			return dst, fail(framePeers, Misuse, wrong)
		}
		fields = appendBytes(fields, p.ID)
		fields = binary.AppendUvarint(fields, uint64(len(p.Addrs)))
		for _, a := range p.Addrs {
			fields = appendBytes(fields, a)
		}
	}
	return append(appendHead(dst, framePeers, len(fields)), fields...), nil
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func (p *parser) readPeers(in *input) []Peer {
	count := in.number("number of peers", MaxPeers, TooMany)
	p.peers = p.peers[:0]
	for range count {
		one := Peer{ID: in.some("peer ID", MaxPeerID)}
		for range in.number("number of addresses", MaxPeerAddrs, TooMany) {
			one.Addrs = append(one.Addrs, in.some("address", MaxAddr))
			if in.err != nil {
				return nil
			}
		}
		if in.err == nil && len(one.Addrs) == 0 {
			in.fail(Malformed, "no address")
		}
		if in.err != nil {
			return nil
		}
		p.peers = append(p.peers, one)
	}
	return p.peers
}

// some reads a length of at least one and that many bytes.
func (in *input) some(what string, most uint32) []byte {
	n := in.number(what, most, TooBig)
	if in.err == nil && n == 0 {
		in.fail(Malformed, "empty "+what)
	}
	return in.bytes(int(n), what)
}

// sessionNumber reads the number of a session; zero is none.
func sessionNumber(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}
