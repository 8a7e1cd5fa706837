package discovery

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoal-p2p/shoal/content"
)

const (
	peerOne   = "12D3KooWJ3BqAU6uMmuXWTNKaYm1xnQkNdSLxZKsHYGjQTYxmZKa"
	peerOther = "12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8"
)

func root(t testing.TB) cid.Cid {
	t.Helper()
	c, err := cid.Decode("bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func peerID(t testing.TB, s string) peer.ID {
	t.Helper()
	id, err := peer.Decode(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func addrs(texts ...string) []ma.Multiaddr {
	out := []ma.Multiaddr{}
	for _, s := range texts {
		out = append(out, ma.StringCast(s))
	}
	return out
}

func texts(addrs []ma.Multiaddr) []string {
	out := []string{}
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}

func sample(t testing.TB) Ticket {
	return Ticket{
		Root: root(t), Peer: peerID(t, peerOne), Name: "a source tree",
		Addrs: addrs("/ip4/192.168.1.5/tcp/4001", "/ip4/192.168.1.5/udp/4001/quic-v1", "/ip4/203.0.113.7/udp/4001/quic-v1"),
	}
}

// private is a ticket with all there is.
func private(t testing.TB) Ticket {
	t.Helper()
	x := sample(t)
	secret, err := content.ParseSecret([]byte("TELLTALETELLTALE"))
	if err != nil {
		t.Fatal(err)
	}
	x.Secret, x.Until, x.Keep, x.Size = secret, time.Unix(1_800_000_000, 0), true, 123_456_789
	return x
}

func same(a, b Ticket) bool {
	return a.Root == b.Root && a.Peer == b.Peer && a.Name == b.Name && slices.Equal(texts(a.Addrs), texts(b.Addrs)) &&
		a.Secret.Equal(b.Secret) && a.Until.Equal(b.Until) && a.Keep == b.Keep && a.Size == b.Size
}

func TestTicketRoundTrip(t *testing.T) {
	want := sample(t)
	text := want.Text()
	t.Logf("%d characters: %s", len(text), text)
	if !strings.HasPrefix(text, "shoal1") || strings.ToLower(text) != text || strings.ContainsAny(text, "=+/ ") {
		t.Errorf("the text %q is not a word in lower case that begins with shoal1", text)
	}
	for _, s := range []string{text, strings.ToUpper(text), " " + text + "\n"} {
		got, err := ParseTicket(s)
		if err != nil || !same(got, want) {
			t.Errorf("ParseTicket(%.20q…): got %v, %v, want %v", s, got, err, want)
		}
	}
	full := private(t)
	if got, err := ParseTicket(full.Text()); err != nil || !same(got, full) {
		t.Errorf("with all there is: got %v, %v", got, err)
	}
	bareTicket := Ticket{Root: want.Root, Peer: want.Peer}
	if got, err := ParseTicket(bareTicket.Text()); err != nil || !same(got, bareTicket) {
		t.Errorf("without name and addresses: got %v, %v", got, err)
	}
}

// The text is a promise to other versions: it must not change by accident.
func TestTicketTextStays(t *testing.T) {
	const want = "shoal1aasacvisec4u2j5zsngt4cfffzjnpwt5vp5mjbhp4n5fhahoscepplhc57g6sainmeqhg33vojrwkiduojswkargaasaqaiseb5cmw3p2dvf4xcnzmogywkucfe7gsvvdh5v5tyvrlkrlonimzkgkayiatakqaifayh2caylatakqaifseba7ionambqwbglabyqpeicb6q42a2rrre42"
	if got := sample(t).Text(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTicketWithoutContentHasNoText(t *testing.T) {
	for _, bad := range []Ticket{{}, {Root: root(t)}, {Peer: peerID(t, peerOne)}} {
		if got := bad.Text(); got != "" {
			t.Errorf("%+v has the text %q", bad, got)
		}
	}
}

// text builds a ticket out of any fields, with a good checksum.
func text(fields ...[]byte) string {
	b := slices.Concat(fields...)
	return ticketOne + ticketText.EncodeToString(append(b, check(b)...))
}

func fieldOf(tag uint64, value []byte) []byte { return appendField(nil, tag, value) }

func TestTicketAddressesAreRankedAndFew(t *testing.T) {
	id := peerID(t, peerOne)
	mixed := addrs(
		"/ip4/127.0.0.1/tcp/4001", "/ip4/203.0.113.7/tcp/4001", "/ip4/203.0.113.7/udp/4001/quic-v1", "/ip4/169.254.3.4/tcp/4001",
		"/ip4/10.0.0.1/udp/4001/quic-v1", "/ip4/10.0.0.1/tcp/4001", "/ip6/fd12::1/tcp/4001", "/ip4/10.0.0.1/tcp/4001",
		"/ip4/10.0.0.1/tcp/4001/p2p/"+peerOne, "/ip4/10.0.0.2/tcp/4001/p2p/"+peerOther,
	)
	want := []string{
		"/ip4/10.0.0.1/tcp/4001", "/ip6/fd12::1/tcp/4001", "/ip4/10.0.0.1/udp/4001/quic-v1", "/ip4/169.254.3.4/tcp/4001",
		"/ip4/203.0.113.7/udp/4001/quic-v1", "/ip4/203.0.113.7/tcp/4001", "/ip4/127.0.0.1/tcp/4001",
	}
	got, err := ParseTicket(Ticket{Root: root(t), Peer: id, Addrs: mixed}.Text())
	if err != nil || !slices.Equal(texts(got.Addrs), want) {
		t.Errorf("got %q, %v, want %q", texts(got.Addrs), err, want)
	}

	var many []ma.Multiaddr // B75
	for i := range 10_000 {
		many = append(many, ma.StringCast(fmt.Sprintf("/ip4/203.0.%d.%d/tcp/4001", i/250, i%250)))
	}
	many[777] = ma.StringCast("/ip4/10.0.0.1/tcp/4001")
	made := Ticket{Root: root(t), Peer: id, Addrs: many}.Text()
	got, err = ParseTicket(made)
	if err != nil || len(got.Addrs) != MaxAddrs || got.Addrs[0].String() != "/ip4/10.0.0.1/tcp/4001" {
		t.Errorf("of 10,000 addresses: got %q, %v, want %d with the private one first", texts(got.Addrs), err, MaxAddrs)
	}
	fields := [][]byte{fieldOf(fieldRoot, root(t).Bytes()), fieldOf(fieldPeer, []byte(id))}
	for _, a := range many[760:790] {
		fields = append(fields, fieldOf(fieldAddr, a.Bytes()))
	}
	got, err = ParseTicket(text(fields...))
	if err != nil || len(got.Addrs) != MaxAddrs || got.Addrs[0].String() != "/ip4/10.0.0.1/tcp/4001" {
		t.Errorf("a ticket made with 30 addresses: got %q, %v, want %d with the private one first", texts(got.Addrs), err, MaxAddrs)
	}
}

func TestLongestTicketCanBeRead(t *testing.T) {
	id := peerID(t, peerOne)
	full := Ticket{Root: root(t), Peer: id, Name: strings.Repeat("n", 255)}
	for i := range 20 {
		full.Addrs = append(full.Addrs, ma.StringCast(fmt.Sprintf("/ip6/2001:db8:1111:2222:3333:4444:5555:%d/udp/65535/quic-v1", 1000+i)))
	}
	s := full.Text()
	got, err := ParseTicket(s)
	if err != nil || len(got.Addrs) != MaxAddrs || got.Name != full.Name {
		t.Errorf("a ticket of %d characters: got %d addresses, %v", len(s), len(got.Addrs), err)
	}
	t.Logf("%d characters", len(s))
	if len(s) > MaxTicket/2 {
		t.Errorf("a ticket has %d characters, close to the limit of %d", len(s), MaxTicket)
	}
}

// Addresses that make no sense are left out, whoever put them in.
func TestTicketAddressesThatCannotBeMeant(t *testing.T) {
	id := peerID(t, peerOne)
	for _, bad := range []string{
		"/ip4/0.0.0.0/tcp/4001", "/ip6/::/tcp/4001", "/ip4/224.0.0.251/udp/5353/quic-v1", "/ip6/ff02::fb/tcp/4001",
		"/ip4/255.255.255.255/tcp/4001", "/ip4/169.254.169.254/tcp/80", "/ip6/fd00:ec2::254/tcp/80", "/ip4/127.0.0.1/tcp/22",
		"/ip6/::1/tcp/22", "/ip4/10.0.0.1/tcp/0", "/ip6/fe80::1/tcp/4001", "/ip6/::ffff:127.0.0.1/tcp/22", "/ip6/::ffff:10.0.0.1/tcp/4001",
		"/dns4/example.com/tcp/4001", "/dnsaddr/example.com", "/ip6zone/eth0/ip6/fe80::1/tcp/4001", "/ip4/10.0.0.1/udp/4001",
		"/ip4/10.0.0.1/tcp/4001/ws", "/ip4/10.0.0.1/tcp/4001/tls/ws", "/ip4/10.0.0.1", "/tcp/4001", "/unix/a",
		"/ip4/10.0.0.1/udp/4001/quic-v1/webtransport", "/ip4/10.0.0.1/tcp/4001/p2p/" + peerOther,
		"/p2p-circuit", "/p2p/" + peerOther + "/p2p-circuit", "/ip4/10.0.0.1/tcp/4001/p2p-circuit", "/ip4/127.0.0.1/tcp/22/p2p/" + peerOther + "/p2p-circuit",
		"/ip4/169.254.169.254/tcp/80/p2p/" + peerOther + "/p2p-circuit", "/dns4/example.com/tcp/4001/p2p/" + peerOther + "/p2p-circuit",
		"/ip4/10.0.0.1/tcp/4001/p2p/" + peerOne + "/p2p-circuit", "/ip4/10.0.0.1/tcp/4001/p2p/" + peerOther + "/p2p-circuit/p2p/" + peerOther,
		"/ip4/10.0.0.1/tcp/4001/p2p/" + peerOther + "/p2p-circuit/p2p-circuit",
		"/ip4/10.0.0.1/tcp/4001/p2p/" + peerOther + "/p2p-circuit/ip4/10.0.0.2/tcp/1",
		"/p2p/" + peerOne, "/ip4/10.0.0.1/sctp/4001",
	} {
		a := ma.StringCast(bad)
		for name, s := range map[string]string{
			"made here":      Ticket{Root: root(t), Peer: id, Addrs: []ma.Multiaddr{a}}.Text(),
			"made elsewhere": text(fieldOf(fieldRoot, root(t).Bytes()), fieldOf(fieldPeer, []byte(id)), fieldOf(fieldAddr, a.Bytes())),
		} {
			if got, err := ParseTicket(s); err != nil || len(got.Addrs) != 0 {
				t.Errorf("%s, %s, %s: got %q, %v, want a ticket without addresses", name, bad, s, texts(got.Addrs), err)
			}
		}
	}
}

// A relay comes last, and a few of its addresses are enough: they are long.
func TestTicketThroughARelay(t *testing.T) {
	var addrs []ma.Multiaddr
	for i := range maxRelayed + 1 {
		addrs = append(addrs, ma.StringCast(fmt.Sprintf("/ip4/11.0.0.%d/udp/4747/quic-v1/p2p/%s/p2p-circuit", i+1, peerOther)))
	}
	addrs = append(addrs, ma.StringCast("/ip4/11.0.0.1/udp/4747/quic-v1"), addrs[0])
	got, err := ParseTicket(Ticket{Root: root(t), Peer: peerID(t, peerOne), Addrs: addrs}.Text())
	want := append([]string{"/ip4/11.0.0.1/udp/4747/quic-v1"}, texts(addrs[:maxRelayed])...)
	if err != nil || !slices.Equal(texts(got.Addrs), want) {
		t.Errorf("got %q, %v, want %q", texts(got.Addrs), err, want)
	}
	for i := range MaxAddrs {
		addrs = append(addrs, ma.StringCast(fmt.Sprintf("/ip4/10.0.0.1/tcp/%d", 2000+i)))
	}
	got, err = ParseTicket(Ticket{Root: root(t), Peer: peerID(t, peerOne), Addrs: addrs}.Text())
	if n := len(got.Addrs); err != nil || n != MaxAddrs || got.Addrs[n-1].String() != addrs[maxRelayed-1].String() {
		t.Errorf("with many other addresses: got %q, %v, want the relays at the end of %d", texts(got.Addrs), err, MaxAddrs)
	}
}

func TestBadTickets(t *testing.T) {
	good := sample(t).Text()
	r, p := fieldOf(fieldRoot, root(t).Bytes()), fieldOf(fieldPeer, []byte(peerID(t, peerOne)))
	var many [][]byte
	for range maxFields - 1 {
		many = append(many, fieldOf(fieldAddr, nil))
	}
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "begin"},
		{"spaces", "  \n", "begin"},
		{"the prefix alone", "shoal", "begin"},
		{"the prefix and the version alone", "shoal1", "cut short"},
		{"a CID", root(t).String(), "begin"},
		{"B76: one character more than any ticket", "shoal1" + strings.Repeat("a", MaxTicket-5), "longer"},
		{"B76: 1 MiB", "shoal1" + strings.Repeat("a", 1<<20), "longer"},
		{"B76: an unknown version", "shoal2" + good[6:], "version"},
		{"B76: the version 10", "shoal10" + good[6:], "characters|checksum"},
		{"one character wrong", flip(good, len(good)/2), "checksum"},
		{"the first character wrong", flip(good, 6), "checksum"},
		{"the last character wrong", flip(good, len(good)-1), "checksum|characters"},
		{"the last character missing", good[:len(good)-1], "checksum|characters"},
		{"a character that base32 does not have", good[:20] + "1" + good[21:], "characters"},
		{"a line break inside", good[:20] + "\n" + good[20:], "characters"},
		{"padding", good + "====", "characters"},
		{"an escape sequence", "shoal1\x1b[2J", "characters"},
		{"no root", text(p), "no content"},
		{"no peer", text(r), "no content"},
		{"no fields", text(), "cut short"},
		{"the root twice", text(r, r, p), "order"},
		{"fields that descend", text(p, r), "order"},
		{"the name twice", text(r, fieldOf(fieldName, []byte("a")), fieldOf(fieldName, []byte("b")), p), "order"},
		{"a field cut short", text(r, p, []byte{fieldAddr, 9, 1}), "order"},
		{"a length beyond all", text(r, p, []byte{fieldAddr, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}), "order"},
		{"a length that overflows", text(r, p, []byte{fieldAddr, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}), "order"},
		{"a tag not in its shortest form", text(r, p, []byte{0x83, 0, 0}), "order"},
		{"a required field that is not known", text(r, p, fieldOf(100, []byte("x"))), "version"},
		{"a secret one byte short", text(r, p, fieldOf(fieldSecret, make([]byte, 15))), "secret"},
		{"a secret one byte longer", text(r, p, fieldOf(fieldSecret, []byte("TELLTALETELLTALE+"))), "secret"},
		{"an empty secret", text(r, p, fieldOf(fieldSecret, nil)), "secret"},
		{"a secret of zeros", text(r, p, fieldOf(fieldSecret, make([]byte, 16))), "secret"},
		{"two secrets", text(r, p, fieldOf(fieldSecret, []byte("TELLTALETELLTALE")), fieldOf(fieldSecret, []byte("TELLTALETELLTALE"))), "order"},
		{"an end that is empty", text(r, p, fieldOf(fieldUntil, nil)), "time"},
		{"an end at 0", text(r, p, fieldOf(fieldUntil, []byte{0})), "time"},
		{"an end one second after the last", text(r, p, fieldOf(fieldUntil, binary.AppendUvarint(nil, lastUntil+1))), "time"},
		{"an end beyond 64 bits", text(r, p, fieldOf(fieldUntil, bytes.Repeat([]byte{0xff}, 12))), "time"},
		{"an end not in its shortest form", text(r, p, fieldOf(fieldUntil, []byte{0x81, 0})), "time"},
		{"an end and more", text(r, p, fieldOf(fieldUntil, []byte{1, 1})), "time"},
		{"something in the field that has nothing", text(r, p, fieldOf(fieldKeep, []byte{1})), "order"},
		{"a root that is none", text(fieldOf(fieldRoot, []byte("not a CID")), p), "content ID"},
		{"a root and more", text(fieldOf(fieldRoot, append(root(t).Bytes(), 0)), p), "content ID"},
		{"a peer that is none", text(r, fieldOf(fieldPeer, []byte("nobody"))), "peer ID"},
		{"an empty peer", text(r, fieldOf(fieldPeer, nil)), "peer ID"},
		{"a peer ID longer than any", text(r, fieldOf(fieldPeer, append([]byte{0, 80}, make([]byte, 80)...))), "peer ID"},
		{"one field too many", text(append([][]byte{r, p}, many...)...), "order"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseTicket(c.text)
			if !errors.Is(err, ErrTicket) {
				t.Fatalf("got %v, error %v, want an ErrTicket", got, err)
			}
			if !slices.ContainsFunc(strings.Split(c.want, "|"), func(w string) bool { return strings.Contains(err.Error(), w) }) {
				t.Errorf("got error %q, want one that says %q", err, c.want)
			}
			if len(c.text) > 12 && (strings.Contains(err.Error(), c.text[6:12]) || len(err.Error()) > 120) {
				t.Errorf("the error %q echoes the ticket", err)
			}
		})
	}
}

// flip changes one character of s into another that base32 has.
func flip(s string, i int) string {
	c := byte('a')
	if s[i] == c {
		c = 'b'
	}
	return s[:i] + string(c) + s[i+1:]
}

func TestEveryTypoIsNoticed(t *testing.T) {
	good := sample(t).Text()
	for i := 6; i < len(good); i++ {
		if _, err := ParseTicket(flip(good, i)); err == nil {
			t.Errorf("a ticket with character %d changed is taken", i)
		}
		if _, err := ParseTicket(good[:i]); err == nil {
			t.Errorf("a ticket cut after %d characters is taken", i)
		}
	}
}

// The ends of what a ticket can say, as far as they are good.
func TestTicketEnds(t *testing.T) {
	x := private(t)
	for _, until := range []int64{1, 1_800_000_000, lastUntil} {
		x.Until = time.Unix(until, 0)
		got, err := ParseTicket(x.Text())
		if err != nil || got.Until.Unix() != until {
			t.Errorf("end %d: got %v, %v", until, got.Until, err)
		}
		if got.Expired(x.Until.Add(-1)) || !got.Expired(x.Until) {
			t.Errorf("end %d: does not end in that very moment", until)
		}
	}
	x.Until = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	if got, err := ParseTicket(x.Text()); err != nil || got.Until.Unix() != lastUntil {
		t.Errorf("an end beyond all: got %v, %v", got.Until, err)
	}
	x.Until = time.Time{}
	if got, err := ParseTicket(x.Text()); err != nil || got.Expired(time.Unix(1<<40, 0)) {
		t.Errorf("no end: got %v, %v", got.Until, err)
	}
	for _, size := range [][]byte{nil, {0x80, 0}, bytes.Repeat([]byte{0xff}, 9), append(bytes.Repeat([]byte{0xff}, 9), 1)} { // a hint: never an error
		s := text(fieldOf(fieldRoot, x.Root.Bytes()), fieldOf(fieldPeer, []byte(x.Peer)), fieldOf(fieldSize, size))
		if got, err := ParseTicket(s); err != nil || got.Size < 0 {
			t.Errorf("size %x: got %d, %v", size, got.Size, err)
		}
	}
}

// A ticket shows its text and its secret to nobody but those who ask for it.
func TestTicketsDoNotShow(t *testing.T) {
	x := private(t)
	text := x.Text()
	var log bytes.Buffer
	for _, v := range []any{x, &x, []Ticket{x}, struct{ T Ticket }{x}, struct{ t *Ticket }{&x}, fmt.Errorf("it is %v", x)} {
		fmt.Fprintf(&log, "%v %+v %#v %s %q %x %d\n", v, v, v, v, v, v, v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("json", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("text", "v", v)
	}
	for _, shown := range []string{text[:20], text[len(text)-20:], "TELLTALE", "84 69 76", "0x54, 0x45"} {
		if strings.Contains(strings.ToLower(log.String()), strings.ToLower(shown)) {
			t.Errorf("a ticket shows %q when it is printed", shown)
		}
	}
}

func TestRedact(t *testing.T) {
	text := private(t).Text()
	for _, s := range []string{text, strings.ToUpper(text), text[:len(text)/2], text[:12], text + "/docs/a.txt", `unknown command "` + text + `"`, text + text, "ticket=" + text + "&"} {
		got := Redact(s)
		if len(got) > 60 || strings.Contains(strings.ToLower(got), text[6:12]) {
			t.Errorf("Redact(%.30q…) shows %q", s, got)
		}
	}
	for _, s := range []string{"", "shoal share FILE", "shoal 1.2.3", "/home/u/shoal/x", "~/.local/share/shoal", root(t).String()} {
		if got := Redact(s); got != s {
			t.Errorf("Redact(%q) changes it to %q", s, got)
		}
	}
}

// A later version may add what this one need not know.
func TestTicketOfTheFuture(t *testing.T) {
	r, p := fieldOf(fieldRoot, root(t).Bytes()), fieldOf(fieldPeer, []byte(peerID(t, peerOne)))
	good := fieldOf(fieldAddr, ma.StringCast("/ip4/10.0.0.1/tcp/4001").Bytes())
	got, err := ParseTicket(text(r, p, fieldOf(fieldAddr, []byte("\xff\xff\xffnew")), good, fieldOf(fieldAddr, nil), fieldOf(5, []byte("new"))))
	if err != nil || !slices.Equal(texts(got.Addrs), []string{"/ip4/10.0.0.1/tcp/4001"}) {
		t.Errorf("got %q, %v, want the one address", texts(got.Addrs), err)
	}
}

// A name is a hint from somebody else: one that could not be created is none.
func TestTicketNamesAreSafe(t *testing.T) {
	for _, name := range []string{"..", ".", "", "a/b", "../x", "/etc/passwd", "a\x00b", "a\nb", "\x1b[2J", strings.Repeat("x", 256), "\xff"} {
		made := sample(t)
		made.Name = name
		elsewhere := text(fieldOf(fieldRoot, root(t).Bytes()), fieldOf(fieldName, []byte(name)), fieldOf(fieldPeer, []byte(made.Peer)))
		for _, s := range []string{made.Text(), elsewhere} {
			if got, err := ParseTicket(s); err != nil || got.Name != "" {
				t.Errorf("name %.20q: got %.20q, %v, want none", name, got.Name, err)
			}
		}
	}
}

func TestIsTicket(t *testing.T) {
	for s, want := range map[string]bool{
		"shoal1": true, "SHOAL2abc": true, "shoal": false, "shoals": false, "": false, "shoal-1": false, root(t).String(): false,
	} {
		if IsTicket(s) != want {
			t.Errorf("IsTicket(%q): got %v", s, !want)
		}
	}
}

// FuzzTicket feeds texts. Nothing panics, an error echoes nothing, and a ticket that is read can be written and read again.
func FuzzTicket(f *testing.F) {
	good := sample(f)
	f.Add(good.Text())
	f.Add(Ticket{Root: good.Root, Peer: good.Peer}.Text())
	f.Add(private(f).Text())
	f.Add("shoal2abc")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseTicket(s)
		if err != nil {
			if !errors.Is(err, ErrTicket) || len(err.Error()) > 120 {
				t.Fatalf("error %q", err)
			}
			return
		}
		again, err := ParseTicket(got.Text())
		if err != nil || !same(again, got) || len(got.Addrs) > MaxAddrs {
			t.Fatalf("%v comes back as %v, %v", got, again, err)
		}
	})
}

// FuzzTicketFields feeds what stands behind a checksum that fits, which FuzzTicket would hardly ever find.
func FuzzTicketFields(f *testing.F) {
	good := sample(f)
	b, err := ticketText.DecodeString(good.Text()[len(ticketOne):])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:len(b)-checkSize])
	f.Add(slices.Concat(fieldOf(fieldRoot, good.Root.Bytes()), fieldOf(fieldPeer, []byte(good.Peer)), fieldOf(5, []byte("x"))))
	if b, err = ticketText.DecodeString(private(f).Text()[len(ticketOne):]); err != nil {
		f.Fatal(err)
	}
	f.Add(b[:len(b)-checkSize])
	f.Fuzz(func(t *testing.T, fields []byte) {
		if len(fields) > MaxTicket/2 {
			return
		}
		got, err := ParseTicket(text(fields))
		if err != nil {
			return
		}
		again, err := ParseTicket(got.Text())
		if err != nil || !same(again, got) || len(got.Addrs) > MaxAddrs {
			t.Fatalf("%v comes back as %v, %v", got, again, err)
		}
	})
}
