package discovery

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/shoal-p2p/shoal/content"
)

func aRoot(t testing.TB) cid.Cid {
	t.Helper()
	r, err := content.ParseRef("bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e")
	if err != nil {
		t.Fatal(err)
	}
	return r.CID
}

func sampleAbout(t testing.TB) About {
	return About{
		Name: "Anna's laptop", Clock: time.Unix(1_700_000_000, 0), More: 3,
		Listed: []Listed{{Root: aRoot(t), Name: "holiday", Bytes: 1 << 40, Files: 12}, {Root: aRoot(t)}},
	}
}

func TestAboutIsReadAsItWasWritten(t *testing.T) {
	want := sampleAbout(t)
	got, err := ReadAbout(iotest.OneByteReader(bytes.NewReader(want.Append(nil))))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// The bytes are written down by hand from the text in about.go.
func TestAboutOnTheWire(t *testing.T) {
	root := aRoot(t)
	want := []byte{54, 1, 2, 'm', 'e', 100, 0, 1, 36}
	want = append(append(want, root.Bytes()...), 4, 'f', 'i', 'l', 'e', 0xac, 0x02, 2)
	want = append(want[:0:0], append([]byte{byte(len(want) - 1)}, want[1:]...)...)
	a := About{Name: "me", Clock: time.Unix(100, 0), Listed: []Listed{{Root: root, Name: "file", Bytes: 300, Files: 2}}}
	if got := a.Append(nil); !bytes.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestAboutCutAnywhereIsNotUnderstood(t *testing.T) {
	whole := sampleAbout(t).Append(nil)
	for n := range whole {
		if _, err := ReadAbout(bytes.NewReader(whole[:n])); !errors.Is(err, ErrAbout) {
			t.Errorf("of %d bytes: %v, want ErrAbout", n, err)
		}
	}
	if _, err := ParseAbout(append(whole[2:], 0)); !errors.Is(err, ErrAbout) {
		t.Errorf("a byte too many: %v, want ErrAbout", err)
	}
}

// Each limit, crossed by one.
func TestLimitsOfAbout(t *testing.T) {
	many := func(n int) About {
		return About{Listed: make([]Listed, n)}
	}
	body := func(a About) []byte {
		for i := range a.Listed {
			a.Listed[i].Root = aRoot(t)
		}
		b := a.Append(nil)
		_, n := uvarint(b)
		return b[n:]
	}
	a, err := ParseAbout(body(many(MaxListed + 5)))
	if err != nil || len(a.Listed) != MaxListed || a.More != 5 {
		t.Errorf("of %d shares: %d and %d more, %v", MaxListed+5, len(a.Listed), a.More, err)
	}
	one := body(many(1))
	at := bytes.Index(one, []byte{0, 1, 36}) + 1
	two := append(append(append([]byte(nil), one[:at]...), 0x81, 0x02), bytes.Repeat(one[at+1:], MaxListed+1)...)
	if _, err := ParseAbout(two); !errors.Is(err, ErrAbout) {
		t.Errorf("%d shares: %v, want ErrAbout", MaxListed+1, err)
	}
	for _, c := range []struct {
		what string
		a    About
		ok   bool
	}{
		{"the longest name of a node", About{Name: strings.Repeat("n", MaxNodeName)}, true},
		{"the longest name of a share", About{Listed: []Listed{{Name: strings.Repeat("n", maxListedName)}}}, true},
	} {
		got, err := ParseAbout(body(c.a))
		if (err == nil) != c.ok || got.Name != c.a.Name || len(got.Listed) != len(c.a.Listed) || len(got.Listed) > 0 && got.Listed[0].Name != c.a.Listed[0].Name {
			t.Errorf("%s: %+v, %v", c.what, got, err)
		}
	}
	long := append([]byte{aboutVersion, MaxNodeName + 1}, strings.Repeat("n", MaxNodeName+1)...)
	if _, err := ParseAbout(append(long, 0, 0, 0)); !errors.Is(err, ErrAbout) {
		t.Errorf("a name of %d bytes: %v, want ErrAbout", MaxNodeName+1, err)
	}
	for _, length := range []int{MaxAbout, MaxAbout + 1} {
		r := io.MultiReader(bytes.NewReader(appendField(nil, uint64(length), nil)[:3]), &zeros{})
		if _, err := ReadAbout(r); !errors.Is(err, ErrAbout) || strings.Contains(err.Error(), "the most") != (length > MaxAbout) {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}

type zeros struct{ read int }

func (z *zeros) Read(p []byte) (int, error) {
	z.read += len(p)
	return len(p), nil
}

func TestNamesOfNodes(t *testing.T) {
	for name, ok := range map[string]bool{
		"annas-laptop": true, "Anna's laptop": true, "日本語": true, "a": true, strings.Repeat("x", MaxNodeName): true,
		"": false, "  ": false, strings.Repeat("x", MaxNodeName+1): false, "a\x1b[2J": false, "a\nb": false, "\xff": false, "rtl\u202eexe": false,
	} {
		if err := CheckNodeName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
		clean := CleanNodeName(name)
		if ok && clean != name {
			t.Errorf("%q was changed to %q", name, clean)
		}
		if clean != "" && CheckNodeName(clean) != nil {
			t.Errorf("%q was cleaned to %q: %v", name, clean, CheckNodeName(clean))
		}
	}
}

// FuzzAbout reads anything. What is understood keeps to the limits, and is what Append writes.
func FuzzAbout(f *testing.F) {
	for _, a := range []About{{}, sampleAbout(f), {Name: "x", Listed: make([]Listed, 0)}} {
		b := a.Append(nil)
		_, n := uvarint(b)
		f.Add(b[n:])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := ParseAbout(body)
		if err != nil {
			return
		}
		if len(a.Name) > MaxNodeName || len(a.Listed) > MaxListed || a.More < 0 || a.Name != "" && CheckNodeName(a.Name) != nil {
			t.Fatalf("got %+v", a)
		}
		for _, l := range a.Listed {
			if !l.Root.Defined() || len(l.Name) > maxListedName || l.Bytes < 0 || l.Files < 0 {
				t.Fatalf("got %+v", l)
			}
		}
		again := a.Append(nil)
		b, err := ReadAbout(bytes.NewReader(again))
		for i := range a.Listed { // a name that is not UTF-8 can be heard, and is not passed on
			if i < len(b.Listed) && b.Listed[i].Name == "" {
				a.Listed[i].Name = ""
			}
		}
		if err != nil || !reflect.DeepEqual(a, b) {
			t.Fatalf("got %+v, %v, want %+v", b, err, a)
		}
	})
}
