package testnet

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Fault is one mistake in a scenario file.
type Fault struct {
	Line  int    // 0: of the whole file
	Field string // like steps[2].at, counted from 1; empty: of the whole file
	Text  string
}

func (f Fault) String() string {
	text := f.Text
	if f.Field != "" {
		text = f.Field + ": " + text
	}
	if f.Line > 0 {
		text = fmt.Sprintf("line %d: %s", f.Line, text)
	}
	return text
}

// ScenarioError lists the mistakes of a scenario file in the order of its lines, the first ten of them.
type ScenarioError struct{ Faults []Fault }

func (e *ScenarioError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.String()
	}
	return strings.Join(lines, "; ")
}

// faults collects mistakes.
type faults struct {
	list []Fault
}

func (f *faults) add(line int, path, format string, args ...any) {
	f.list = append(f.list, Fault{Line: line, Field: path, Text: fmt.Sprintf(format, args...)})
}

// err is nil if there are none.
func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	slices.SortStableFunc(f.list, func(a, b Fault) int { return a.Line - b.Line })
	f.list = slices.Compact(f.list) // a line of the file may be many steps
	if more := len(f.list) - maxFaults; more > 0 {
		f.list = append(f.list[:maxFaults:maxFaults], Fault{Text: fmt.Sprintf("and %d more", more)})
	}
	return &ScenarioError{f.list}
}

// field is one value of the file, and where it stands.
type field struct {
	*faults
	node ast.Node
	path string
}

func (f field) line() int { return f.node.GetToken().Position.Line }

func (f field) wrong(format string, args ...any) { f.add(f.line(), f.path, format, args...) }

// table is a field that consists of keys with values.
type table struct {
	field
	values map[string]field
}

// table reports keys that are not known, and those that are there twice.
func (f field) table(known ...string) table {
	t := table{f, map[string]field{}}
	var pairs []*ast.MappingValueNode
	switch n := f.node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		f.wrong("this is %s, and keys with values are needed: %s", kind(f.node), strings.Join(known, ", "))
		return t
	}
	for _, p := range pairs {
		key := p.Key.GetToken().Value
		v := field{f.faults, p.Value, strings.TrimPrefix(f.path+"."+key, ".")}
		if !slices.Contains(known, key) {
			f.add(p.Key.GetToken().Position.Line, f.path, "%q is no key here; there are %s", key, strings.Join(known, ", "))
			continue
		}
		if _, twice := t.values[key]; twice {
			v.wrong("is there twice")
		}
		t.values[key] = v
	}
	return t
}

func (t table) get(key string) (field, bool) {
	f, ok := t.values[key]
	return f, ok
}

// need reports a key that is not there.
func (t table) need(key string) (field, bool) {
	f, ok := t.values[key]
	if !ok {
		t.wrong("%s is missing", key)
	}
	return f, ok
}

// each returns the values of a list.
func (f field) each(most int) (out []field) {
	list, ok := f.node.(*ast.SequenceNode)
	if !ok {
		f.wrong("this is %s, and a list is needed", kind(f.node))
		return nil
	}
	if len(list.Values) > most {
		f.wrong("has %d entries, and %d at most are allowed", len(list.Values), most)
		return nil
	}
	for i, n := range list.Values {
		out = append(out, field{f.faults, n, fmt.Sprintf("%s[%d]", f.path, i+1)})
	}
	return out
}

// isList tells a list from a single value.
func (f field) isList() bool { _, ok := f.node.(*ast.SequenceNode); return ok }

func (f field) isTable() bool {
	switch f.node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

// scalar is the text of a value that is neither a list nor a table.
func (f field) scalar() (text string, ok bool) {
	switch n := f.node.(type) {
	case *ast.StringNode:
		text, ok = n.Value, true
	case *ast.LiteralNode:
		text, ok = strings.TrimSpace(n.Value.Value), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		text, ok = n.GetToken().Value, true
	}
	if !ok || text == "" {
		f.wrong("this is %s, and one value is needed", kind(f.node))
		return "", false
	}
	return text, true
}

// text is one line of so many bytes at most.
func (f field) text(most int) string {
	text, _ := f.scalar()
	if len(text) > most {
		f.wrong("has %d bytes, and %d at most are allowed", len(text), most)
		return ""
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		f.wrong("has to be one line, without control characters")
		return ""
	}
	return text
}

// oneOf is a word of a closed list.
func (f field) oneOf(words ...string) string {
	text, ok := f.scalar()
	if ok && !slices.Contains(words, text) {
		f.wrong("%q is none of %s", text, strings.Join(words, ", "))
		return ""
	}
	return text
}

func (f field) yes() {
	if text, ok := f.scalar(); ok && text != "true" {
		f.wrong("%q: write true, or leave it away", text)
	}
}

// number reads a value with parse. It has to lie between least and most, which are said as their texts.
func number[T int64 | float64 | time.Duration](f field, parse func(string) (T, error), least, most T, range_ string) T {
	text, ok := f.scalar()
	if !ok {
		return 0
	}
	v, err := parse(text)
	if err != nil {
		f.wrong("%q: %v", text, err)
		return 0
	}
	if !(v >= least && v <= most) {
		f.wrong("%s is not %s", text, range_)
		return 0
	}
	return v
}

func between(least, most any) string { return fmt.Sprintf("from %v to %v", least, most) }

func (f field) whole(least, most int64) int64 {
	return number(f, parseWhole, least, most, between(least, most))
}

func (f field) duration(least, most time.Duration) time.Duration {
	return number(f, parseDuration, least, most, between(least, most))
}

func (f field) size(most int64) int64 {
	return number(f, parseSize, 1, most, fmt.Sprintf("from 1 byte to %d GiB", most>>30))
}

func (f field) rate() float64 {
	return number(f, parseRate, leastRate, maxRate, "from 1KiB to 1000Gbit a second")
}

func (f field) percent() float64 { return number(f, parsePercent, 0, 1, "from 0% to 100%") }

func (f field) times(least float64) float64 {
	return number(f, parseTimes, least, maxTimes, fmt.Sprintf("from %gx to %gx", least, float64(maxTimes)))
}

// kind says in a user's words what a value is.
func kind(n ast.Node) string {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys with values"
	default:
		text := n.GetToken().Value
		if len(text) > maxName {
			return "a long text"
		}
		return fmt.Sprintf("%q", text)
	}
}

// parseText reads YAML without anchors, of which a page can stand for more than memory holds, and without tags. What the
// library does not take well beyond those, it says by a panic.
func parseText(text []byte) (root ast.Node, err error) {
	var f faults
	defer func() {
		if p := recover(); p != nil {
			f.add(0, "", "makes no sense as YAML")
			root, err = nil, f.err()
		}
	}()
	switch {
	case len(text) > maxText:
		f.add(lineAt(text, maxText), "", "the file is longer than %d KiB, which no scenario needs: a group stands for any number of nodes", maxText>>10)
		return nil, f.err()
	case !utf8.Valid(text) || slices.Contains(text, 0):
		f.add(lineAt(text, bytes.IndexFunc(text, unprintable)), "", "this is not text, and a scenario is YAML")
		return nil, f.err()
	}
	tokens := lexer.Tokenize(string(text))
	if line := tooDeep(tokens); line > 0 {
		f.add(line, "", "is nested too deep")
		return nil, f.err()
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		f.add(whereYAML(err))
		return nil, f.err()
	}
	switch {
	case len(file.Docs) > 1:
		f.add(file.Docs[1].Start.Position.Line, "", "here a second YAML document begins, and a scenario is one")
	case len(file.Docs) == 0 || file.Docs[0].Body == nil || file.Docs[0].Body.Type() == ast.NullType:
		f.add(1, "", "the file is empty: a scenario has at least groups; 'shoal testnet scenarios' lists some to begin with")
	default:
		root = file.Docs[0].Body
		ast.Walk(plain{&f}, root)
	}
	return root, f.err()
}

// lineAt is the line on which a byte stands.
func lineAt(text []byte, at int) int { return 1 + bytes.Count(text[:at], []byte("\n")) }

// unprintable tells what is in no text.
func unprintable(r rune) bool { return r == 0 || r == utf8.RuneError }

// whereYAML takes an error of the library apart.
func whereYAML(err error) (line int, path, format string, message any) {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil {
		return at.GetToken().Position.Line, "", "%s", at.GetMessage()
	}
	return 0, "", "makes no sense as YAML: %v", err
}

// tooDeep returns the line on which brackets or indentation are nested deeper than in any scenario, or 0.
func tooDeep(tokens token.Tokens) (line int) {
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType:
			if depth <= 0 && t.Position.Column > maxIndent {
				return t.Position.Line
			}
		}
		if depth > maxBrackets {
			return t.Position.Line
		}
	}
	return 0
}

// counted are places in lists as the library counts them, from 0.
var counted = regexp.MustCompile(`\[\d+\]`)

// pathOf is where a value stands, as fields say it.
func pathOf(n ast.Node) string {
	return counted.ReplaceAllStringFunc(strings.TrimLeft(n.GetPath(), "$."), func(place string) string {
		at, _ := strconv.Atoi(strings.Trim(place, "[]")) // digits
		return fmt.Sprintf("[%d]", at+1)
	})
}

// plain reports what a scenario is written without.
type plain struct{ *faults }

func (p plain) Visit(n ast.Node) ast.Visitor {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode, *ast.TagNode:
		p.add(n.GetToken().Position.Line, pathOf(n), "anchors, aliases and tags are not understood here")
		return nil
	}
	return p
}
