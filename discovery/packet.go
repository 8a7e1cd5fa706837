package discovery

import (
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// packet is what an mDNS packet says about one service.
type packet struct {
	asks    bool // it asks everybody who is there, and wants the answers to be for all to hear
	answers []announced
}

// announced is one TXT record.
type announced struct {
	instance string // in lower case, without the service
	texts    []string
}

// question asks who offers a service. Its answers go to the asker alone, or to everybody on the link.
func question(service string, alone bool) ([]byte, error) {
	name, err := dnsmessage.NewName(service + ".local.")
	if err != nil {
		return nil, err
	}
	q := dnsmessage.Question{Name: name, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET}
	if alone {
		q.Class |= unicastBit
	}
	m := dnsmessage.Message{Questions: []dnsmessage.Question{q}}
	return m.Pack()
}

// unicastBit of a question's class asks for the answer to be sent to the asker (RFC 6762, section 5.4).
const unicastBit = 1 << 15

// parsePacket reads one packet as far as it makes sense: whoever can send packets to this network can send this one.
func parsePacket(b []byte, service string) packet {
	var p dnsmessage.Parser
	var out packet
	head, err := p.Start(b)
	if err != nil {
		return out
	}
	suffix := service + ".local."
	if head.Response {
		if p.SkipAllQuestions() == nil {
			out.answers = answersOf(&p, suffix)
		}
		return out
	}
	for range maxQuestions {
		q, err := p.Question()
		if err != nil {
			break
		}
		same := strings.EqualFold(q.Name.String(), suffix) && q.Type == dnsmessage.TypePTR
		out.asks = out.asks || same && q.Class&unicastBit == 0
	}
	if _, err := p.AnswerHeader(); err == nil {
		out.asks = false // it lists what its sender knows, and those stay silent
	}
	return out
}

// answersOf collects the TXT records of a service from the three sections that may hold them.
func answersOf(p *dnsmessage.Parser, suffix string) (out []announced) {
	left := maxRecords
	for _, section := range []struct {
		next func() (dnsmessage.ResourceHeader, error)
		skip func() error
	}{{p.AnswerHeader, p.SkipAnswer}, {p.AuthorityHeader, p.SkipAuthority}, {p.AdditionalHeader, p.SkipAdditional}} {
		for ; left > 0; left-- {
			head, err := section.next()
			if err != nil {
				break // ErrSectionDone, or the rest is not readable
			}
			instance, ours := instanceOf(head.Name.String(), suffix)
			if head.Type != dnsmessage.TypeTXT || !ours || head.TTL == 0 { // which would be a goodbye
				if section.skip() != nil {
					return out
				}
				continue
			}
			txt, err := p.TXTResource()
			if err != nil {
				return out
			}
			out = append(out, announced{instance, txt.TXT})
		}
	}
	return out
}

// instanceOf takes the service off the name of one of its instances.
func instanceOf(name, suffix string) (string, bool) {
	at := len(name) - len(suffix)
	if at < 2 || name[at-1] != '.' || !strings.EqualFold(name[at:], suffix) {
		return "", false
	}
	return strings.ToLower(name[:at-1]), true
}
