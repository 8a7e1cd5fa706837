package content

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Name is one path component that is safe to create on this system. Only ParseName makes one.
type Name struct{ s string }

// String returns the name, byte for byte what ParseName was given.
func (n Name) String() string { return n.s }

// NameError says why a name, or a path, must not be created.
type NameError struct {
	Name   string // as it came, which may be anything
	Reason string
}

func (e *NameError) Error() string { return `name "` + Printable(short(e.Name)) + `" ` + e.Reason }

// ParseName returns s as a name for the system that this program runs on. The error is a *NameError. Names are never changed
// to make them fit.
func ParseName(s string) (Name, error) { return ParseNameOn(runtime.GOOS, s) }

// ParseNameOn is ParseName for a system with the given GOOS.
func ParseNameOn(system, s string) (Name, error) {
	if why := judge(system, s); why != sound {
		return Name{}, &NameError{Name: s, Reason: why.String()}
	}
	return Name{s}, nil
}

// flaw is why a name must not be created. It is small because a tree keeps one for each of its entries.
type flaw uint8

const (
	sound flaw = iota
	emptyName
	dotName
	slashName
	controlName
	notUTF8
	longName
	longPath
	ownName
	deviceName
	endName
	charName
	twinName
	unsafeParent
)

var flaws = [...]string{
	sound:        "",
	emptyName:    "is empty",
	dotName:      "means a directory, not something in it",
	slashName:    "has a slash or a backslash in it",
	controlName:  "has control characters in it",
	notUTF8:      "is not valid UTF-8",
	longName:     fmt.Sprintf("is longer than %d bytes", maxName),
	longPath:     fmt.Sprintf("lies at a path longer than %d bytes", maxPath),
	ownName:      "is kept for unfinished downloads",
	deviceName:   "is a device on this system",
	endName:      "ends in a dot or a space, which this system drops",
	charName:     "has a character that this system does not allow in names",
	twinName:     "is the same as another name in its directory on this system",
	unsafeParent: "lies in a directory that cannot be created here",
}

func (f flaw) String() string { return flaws[f] }

// maxName is the length of the longest name, in bytes: what common file systems take.
const maxName = 255

// judge finds the first thing that is wrong with s as a name on a system; "" asks for what is wrong on every system.
func judge(system, s string) flaw {
	switch {
	case s == "":
		return emptyName
	case s == "." || s == "..":
		return dotName
	case strings.ContainsAny(s, `/\`):
		return slashName
	case !utf8.ValidString(s):
		return notUTF8
	case strings.ContainsFunc(s, unicode.IsControl):
		return controlName
	case len(s) > maxName:
		return longName
	case system == "":
		return sound
	case IsStageName(s):
		return ownName
	case system == "windows":
		return judgeWindows(s)
	}
	return sound
}

// judgeWindows finds what only Windows minds.
func judgeWindows(s string) flaw {
	switch {
	case strings.ContainsAny(s, `<>:"|?*`):
		return charName
	case strings.HasSuffix(s, ".") || strings.HasSuffix(s, " "):
		return endName
	}
	// A device keeps its meaning whatever its case, with an extension, and with spaces before that.
	base, _, _ := strings.Cut(s, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return deviceName
	}
	port, ok := strings.CutPrefix(base, "COM")
	if !ok {
		port, ok = strings.CutPrefix(base, "LPT")
	}
	if ok && utf8.RuneCountInString(port) == 1 && strings.Contains("0123456789¹²³", port) {
		return deviceName
	}
	return sound
}

// folds says that common file systems of a system take names for the same that differ in case or in normal form.
func folds(system string) bool { return system == "windows" || system == "darwin" || system == "ios" }

// fold returns what all names have in common that a folding file system takes for the same.
func fold(s string) string {
	ascii := true
	for i := 0; i < len(s); i++ {
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	if ascii {
		return strings.ToLower(s)
	}
	return norm.NFC.String(cases.Fold().String(norm.NFD.String(s)))
}

// The name under which a download lies beside its destination until it is whole: a dot, the destination's own name, which may
// be shortened, a dot, stageTag characters that tell downloads apart, and the ending.
const (
	StagePrefix = "."
	StageSuffix = ".shoal-part"
	stageTag    = 8
)

var stageEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// StageName returns the name for the unfinished download of root to a destination named base. It is the same every time, so
// that a download can be gone on with, and another one for any other root or base.
func StageName(base string, root cid.Cid) string {
	sum := sha256.Sum256([]byte(root.KeyString() + base))
	tag := stageEncoding.EncodeToString(sum[:stageTag*5/8])
	room := maxName - len(StagePrefix) - 1 - stageTag - len(StageSuffix)
	if len(base) > room {
		for room > 0 && !utf8.RuneStart(base[room]) {
			room--
		}
		base = base[:room]
	}
	return StagePrefix + base + "." + tag + StageSuffix
}

// IsStageName says that s is a name which StageName could have returned, or one that some file system takes for such a name.
func IsStageName(s string) bool {
	if !strings.HasPrefix(s, StagePrefix) {
		return false
	}
	rest, ok := strings.CutSuffix(fold(s[len(StagePrefix):]), StageSuffix)
	if !ok {
		return false
	}
	dot := len(rest) - stageTag - 1
	return dot > 0 && rest[dot] == '.' && strings.Trim(rest[dot+1:], "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// Printable returns s with everything escaped that could change what a terminal shows around it or in which order: control
// characters, ESC among them, marks of writing direction, invisible characters, separators of lines, and bytes that are not
// UTF-8. What is left alone stays readable in every script.
func Printable(s string) string {
	if !strings.ContainsFunc(s, hidden) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !hidden(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// hidden says that r must not reach a terminal as it is. The two joiners are invisible but some scripts and emoji need them.
func hidden(r rune) bool { return !unicode.IsGraphic(r) && r != '\u200c' && r != '\u200d' }
