package discovery

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/miekg/dns"
)

const (
	service   = DefaultService
	perPacket = 10 // names in a packet of the flood
)

// packed is a packet as another library writes it.
func packed(t testing.TB, m *dns.Msg) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func answer(answers, extra []dns.RR) *dns.Msg {
	m := new(dns.Msg)
	m.Response, m.Compress, m.Answer, m.Extra = true, true, answers, extra
	return m
}

func txt(name string, ttl uint32, texts ...string) dns.RR {
	return &dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: ttl}, Txt: texts}
}

func asking(name string, class uint16, known ...dns.RR) *dns.Msg {
	m := new(dns.Msg)
	m.Question = []dns.Question{{Name: name, Qtype: dns.TypePTR, Qclass: class}}
	m.Answer = known
	return m
}

func TestPacketsOfOthers(t *testing.T) {
	ptr := &dns.PTR{Hdr: head("_p2p._udp.local.", dns.TypePTR), Ptr: "x._p2p._udp.local."}
	for _, c := range []struct {
		name  string
		b     []byte
		asks  bool
		texts []string
	}{
		{"an answer", packed(t, answer([]dns.RR{ptr}, []dns.RR{txt("x._p2p._udp.local.", 120, "one", "two")})), false, []string{"one", "two"}},
		{"an announcement", packed(t, answer([]dns.RR{txt("x._p2p._udp.local.", 120, "one"), ptr}, nil)), false, []string{"one"}},
		{"in capitals", packed(t, answer([]dns.RR{txt("X._P2P._UDP.LOCAL.", 120, "one")}, nil)), false, []string{"one"}},
		{"a goodbye", packed(t, answer([]dns.RR{txt("x._p2p._udp.local.", 0, "one")}, nil)), false, nil},
		{"another service", packed(t, answer([]dns.RR{txt("x._ipp._tcp.local.", 120, "one")}, nil)), false, nil},
		{"a service that ends alike", packed(t, answer([]dns.RR{txt("x.my_p2p._udp.local.", 120, "one")}, nil)), false, nil},
		{"the service itself", packed(t, answer([]dns.RR{txt("_p2p._udp.local.", 120, "one")}, nil)), false, nil},
		{"a question", packed(t, asking("_p2p._udp.local.", dns.ClassINET)), true, nil},
		{"a question for the asker alone", packed(t, asking("_p2p._udp.local.", dns.ClassINET|1<<15)), false, nil},
		{"a question with what is known", packed(t, asking("_p2p._udp.local.", dns.ClassINET, ptr)), false, nil},
		{"a question about another service", packed(t, asking("_ipp._tcp.local.", dns.ClassINET)), false, nil},
		{"an answer in a question", packed(t, asking("_p2p._udp.local.", dns.ClassINET, txt("x._p2p._udp.local.", 120, "one"))), false, nil},
		{"nothing", nil, false, nil},
		{"noise", []byte(strings.Repeat("\xff", 500)), false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := parsePacket(c.b, service)
			var texts []string
			for _, a := range p.answers {
				if a.instance != "x" {
					t.Errorf("the instance is %q", a.instance)
				}
				texts = append(texts, a.texts...)
			}
			if p.asks != c.asks || !slices.Equal(texts, c.texts) {
				t.Errorf("asks %v, says %q; want %v, %q", p.asks, texts, c.asks, c.texts)
			}
		})
	}
}

// What one packet may hold, crossed by one.
func TestLimitsOfAPacket(t *testing.T) {
	var many []dns.RR
	for range maxRecords + 1 {
		many = append(many, txt("x._p2p._udp.local.", 120, "a"))
	}
	if got := len(parsePacket(packed(t, answer(many, nil)), service).answers); got != maxRecords {
		t.Errorf("of %d records %d were taken, want %d", maxRecords+1, got, maxRecords)
	}
	m := new(dns.Msg)
	for range maxQuestions {
		m.Question = append(m.Question, dns.Question{Name: "x.local.", Qtype: dns.TypePTR, Qclass: dns.ClassINET})
	}
	m.Question = append(m.Question, dns.Question{Name: "_p2p._udp.local.", Qtype: dns.TypePTR, Qclass: dns.ClassINET})
	if parsePacket(packed(t, m), service).asks {
		t.Errorf("question %d was looked at", maxQuestions+1)
	}
}

func TestQuestionsAreThoseOfTheSpecification(t *testing.T) {
	for alone, class := range map[bool]uint16{false: 1, true: 1<<15 | 1} {
		b, err := question(service, alone)
		if err != nil {
			t.Fatal(err)
		}
		var m dns.Msg
		if err := m.Unpack(b); err != nil || len(m.Question) != 1 || m.Id != 0 || m.Response || m.RecursionDesired {
			t.Fatalf("%v, %+v", err, m)
		}
		if q := m.Question[0]; q.Name != "_p2p._udp.local." || q.Qtype != dns.TypePTR || q.Qclass != class {
			t.Errorf("asks %+v", q)
		}
	}
}

// FuzzPacket takes apart packets of any kind, as far as what a neighbour might be told to dial.
func FuzzPacket(f *testing.F) {
	one := "dnsaddr=/ip4/192.168.1.9/tcp/4001/p2p/" + peerOne
	f.Add(packed(f, answer(nil, []dns.RR{txt("x._p2p._udp.local.", 120, one)})))
	f.Add(packed(f, answer([]dns.RR{txt("x._p2p._udp.local.", 120, one, "dnsaddr=/ip4/192.168.1.9/udp/4001/quic-v1/p2p/"+peerOne)}, nil)))
	f.Add(packed(f, asking("_p2p._udp.local.", dns.ClassINET)))
	f.Add(packed(f, invent(0)))
	p, self := office(f), peerID(f, peerOther)
	f.Fuzz(func(t *testing.T, b []byte) {
		said := parsePacket(b, service)
		if len(said.answers) > maxRecords || said.asks && len(said.answers) > 0 {
			t.Fatalf("got %d answers, asks %v", len(said.answers), said.asks)
		}
		for _, a := range said.answers {
			if info, ok := p.hear(self, a.texts); ok {
				for _, addr := range info.Addrs {
					checkHeard(t, p, addr)
				}
			}
		}
	})
}

// head begins a record that is to be remembered for 136 years.
func head(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: 1<<32 - 1}
}

// invent makes up an announcement of perPacket peers, counted from n on.
func invent(n int) *dns.Msg {
	msg := new(dns.Msg)
	msg.Response, msg.Compress = true, true
	for i := n; i < n+perPacket; i++ {
		name := fmt.Sprintf("invented%d._p2p._udp.local.", i)
		addr := fmt.Sprintf("dnsaddr=/ip4/10.77.0.66/tcp/%d/p2p/%v", 1+i%60000, invented(i))
		msg.Answer = append(msg.Answer,
			&dns.SRV{Hdr: head(name, dns.TypeSRV), Port: 1, Target: "attacker.local."},
			&dns.TXT{Hdr: head(name, dns.TypeTXT), Txt: []string{addr}})
	}
	msg.Extra = append(msg.Extra, &dns.A{Hdr: head("attacker.local.", dns.TypeA), A: net.IPv4(10, 77, 0, 66)})
	return msg
}

// invented makes up a peer ID.
func invented(n int) peer.ID {
	id := append([]byte{0, 36, 8, 1, 18, 32}, make([]byte, 32)...)
	binary.BigEndian.PutUint64(id[6:], uint64(n))
	return peer.ID(id)
}
