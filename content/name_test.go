package content

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNames(t *testing.T) {
	const all, windows, nowhere = "linux darwin windows freebsd", "windows", ""
	for _, c := range []struct {
		id, name string
		refused  string // where
	}{
		{"", "a", nowhere},
		{"", "a.txt", nowhere},
		{"", "...", "windows"},
		{"", "..a", nowhere},
		{"", ".hidden", nowhere},
		{"", "ü字🐟", nowhere},
		{"", "a b", nowhere},
		{"B24", "", all},
		{"B24", ".", all},
		{"B24", "..", all},
		{"B25", "../x", all},
		{"B25", "a/../../x", all},
		{"B26", "/etc/passwd", all},
		{"B26", "//h/s", all},
		{"B26", `C:\x`, all},
		{"B26", `\\?\`, all},
		{"B26", "C:x", windows},
		{"B26", "C:", windows},
		{"B27", "a/b", all},
		{"B27", `a\b`, all},
		{"B27", "a/", all},
		{"B28", "a\x00b", all},
		{"B28", "a\nb", all},
		{"B28", "a\rb", all},
		{"B28", "\x1b[2J", all},
		{"B28", "a\x7f", all},
		{"B28", "a\u0085b", all},
		{"B28", "a\u009bb", all},
		{"B29", "photo\u202egpj.exe", nowhere},
		{"B30", "CON", windows},
		{"B30", "con", windows},
		{"B30", "nul.txt", windows},
		{"B30", "NUL .txt", windows},
		{"B30", "aux.tar.gz", windows},
		{"B30", "COM1", windows},
		{"B30", "com0", windows},
		{"B30", "COM¹", windows},
		{"B30", "lpt³.x", windows},
		{"B30", "CONIN$", windows},
		{"B30", "conout$", windows},
		{"B30", "PRN", windows},
		{"B30", "console", nowhere},
		{"B30", "COM10", nowhere},
		{"B30", "COM", nowhere},
		{"B30", "nul-file", nowhere},
		{"B31", "a.", windows},
		{"B31", "a ", windows},
		{"B31", "x:ads", windows},
		{"B31", "a<b", windows},
		{"B31", "what?", windows},
		{"B31", "a|b", windows},
		{"B31", `"a"`, windows},
		{"B31", "*", windows},
		{"B31", " a", nowhere},
		{"B32", "-rf", nowhere},
		{"B32", "~", nowhere},
		{"B32", "$(id)", nowhere},
		{"B32", "`id`", nowhere},
		{"B32", ";reboot", nowhere},
		{"B32", "%2e%2e", nowhere},
		{"B34", ".a.abcdefgh.shoal-part", all},
		{"B34", ".a.b.c.abcd2345.shoal-part", all},
		{"B34", ".A.ABCDEFGH.SHOAL-PART", all},
		{"B34", ".a.abcdefgh.\u017fhoal-part", all}, // a long s is an s where case does not count
		{"B34", "a.abcdefgh.shoal-part", nowhere},
		{"B34", ".a.abcdefg.shoal-part", nowhere},
		{"B34", ".a.abcdefg1.shoal-part", nowhere},
		{"B34", ".abcdefgh.shoal-part", nowhere},
		{"B34", "..abcdefgh.shoal-part", nowhere},
		{"B34", ".shoal-part", nowhere},
		{"B35", strings.Repeat("n", 255), nowhere},
		{"B35", strings.Repeat("n", 256), all},
		{"B35", strings.Repeat("ü", 127), nowhere},
		{"B35", strings.Repeat("ü", 128), all},
		{"B36", "a\xff", all},
		{"B36", "\xed\xa0\x80", all},
		{"B36", "\xc0\xaf", all},
	} {
		for system := range strings.FieldsSeq(all) {
			n, err := ParseNameOn(system, c.name)
			switch why := (*NameError)(nil); {
			case !strings.Contains(c.refused, system):
				if err != nil || n.String() != c.name {
					t.Errorf("%s %q on %s: %v", c.id, c.name, system, err)
				}
			case !errors.As(err, &why):
				t.Errorf("%s %q on %s: got %v, want a *NameError", c.id, c.name, system, err)
			case why.Reason == "" || why.Name != c.name || Printable(err.Error()) != err.Error() || len(err.Error()) > 400:
				t.Errorf("%s %q on %s: the error is %q", c.id, c.name, system, err)
			}
		}
	}
}

func TestTwins(t *testing.T) { // B37, B38
	for _, twins := range [][2]string{
		{"A", "a"},
		{"Ünï", "üNÏ"},
		{"\u00e9", "e\u0301"},
		{"E\u0301", "\u00e9"},
		{"ß", "ss"},
		{"\u212a", "k"},
		{"ﬁ", "FI"},
		{"\u017f", "S"},
	} {
		if fold(twins[0]) != fold(twins[1]) {
			t.Errorf("%+q and %+q are not seen as twins: %+q, %+q", twins[0], twins[1], fold(twins[0]), fold(twins[1]))
		}
	}
	for _, different := range [][2]string{{"a", "b"}, {"a", "ä"}, {"a", "a "}, {"1", "¹"}} {
		if fold(different[0]) == fold(different[1]) {
			t.Errorf("%q and %q are seen as twins", different[0], different[1])
		}
	}
}

func TestPrintable(t *testing.T) {
	for s, want := range map[string]string{
		"":                    "",
		"plain":               "plain",
		"ü 字 🐟 e\u0301":       "ü 字 🐟 e\u0301",
		"👩\u200d🔬":            "👩\u200d🔬",
		"می\u200cخواهم":       "می\u200cخواهم",
		"a\u00a0b":            "a\u00a0b",
		"\x1b[2J":             `\x1b[2J`,
		"a\nb\tc\r":           `a\x0ab\x09c\x0d`,
		"\x00\x7f":            `\x00\x7f`,
		"\u009b2J":            `\x9b2J`,
		"photo\u202egpj.exe":  `photo\u202egpj.exe`,
		"\u2066a\u2069\u061c": `\u2066a\u2069\u061c`,
		"\u200b\ufeff":        `\u200b\ufeff`,
		"a\u2028b":            `a\u2028b`,
		"\U000e0041":          `\U000e0041`,
		"a\xffb":              `a\xffb`,
		"\xe2\x80":            `\xe2\x80`,
		"\ufffd":              "\ufffd",
		"\ufffd\xff":          "\ufffd" + `\xff`,
	} {
		if got := Printable(s); got != want {
			t.Errorf("Printable(%+q) = %+q, want %+q", s, got, want)
		}
	}
}

func TestStageNames(t *testing.T) {
	root := Seal([]byte("root")).Digest().CID()
	other := Seal([]byte("other")).Digest().CID()
	seen := map[string]string{}
	for _, base := range []string{
		"a", "file.txt", ".hidden", strings.Repeat("n", 234), strings.Repeat("n", 235), strings.Repeat("n", 255), strings.Repeat("n", 254) + "m",
		strings.Repeat("ü", 127), "n" + strings.Repeat("ü", 127), strings.Repeat("🐟", 63), "n" + strings.Repeat("🐟", 63),
	} {
		for _, c := range []struct {
			name string
			root Digest
		}{{"root", Seal([]byte("root")).Digest()}, {"other", Seal([]byte("other")).Digest()}} {
			s := StageName(base, c.root.CID())
			if s != StageName(base, c.root.CID()) {
				t.Errorf("%q has another stage name every time", base)
			}
			if !IsStageName(s) || !strings.HasPrefix(s, StagePrefix) || !strings.HasSuffix(s, StageSuffix) {
				t.Errorf("%q is not known as a stage name", s)
			}
			if len(s) > 255 || !utf8.ValidString(s) {
				t.Errorf("%q has %d bytes", s, len(s))
			}
			if before, twice := seen[s]; twice {
				t.Errorf("%q is the stage name of %s and of %s", s, before, base)
			}
			seen[s] = base
			if _, err := ParseName(s); err == nil {
				t.Errorf("%q can be created by others", s)
			}
		}
	}
	if s := StageName("film.mkv", root); !strings.HasPrefix(s, ".film.mkv.") || s == StageName("film.mkv", other) {
		t.Errorf("stage name %q", s)
	}
}
