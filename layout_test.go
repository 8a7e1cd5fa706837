// Package shoal has no code of its own: the program is cmd/shoal, and each directory beside this file is one of its rooms.
// The tests here keep the walls between them.
package shoal

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/shoal-p2p/shoal"

// room is what one package may lean on. The standard library and other modules are free unless a field says otherwise.
type room struct {
	imports []string // other rooms; content is open to everyone
	libp2p  bool     // may import anything of github.com/libp2p
	boxo    bool     // may import github.com/ipfs/boxo
	prints  bool     // may write to the terminal, read from it and end the process
	pure    *purity
}

// purity is the closed list of what a room without effects may use. Its tests may use all of the standard library.
type purity struct {
	modules []string // import path prefixes outside the standard library
	banned  []string // of the standard library, each with everything below it
	still   bool     // no clock, no goroutine, no channel, no random number that a config did not seed
}

var rooms = map[string]room{
	"cmd/shoal": {imports: []string{"node", "gateway", "ipfs", "testnet", "testnet/report"}, prints: true},
	"node":      {imports: []string{"transfer", "discovery", "store", "store/fault"}, libp2p: true},
	"transfer":  {imports: []string{"transfer/engine", "transfer/wire"}, libp2p: true},
	"transfer/engine": {pure: &purity{
		banned: []string{"net", "os", "syscall", "path/filepath", "sync", "context"},
		still:  true,
	}},
	"transfer/sim": {imports: []string{"transfer/engine"}, pure: &purity{
		banned: []string{"net", "os", "syscall", "path/filepath", "sync", "context"},
		still:  true,
	}},
	"transfer/wire": {pure: &purity{
		modules: []string{"github.com/ipfs/go-cid"}, // a hello names its root
		banned:  []string{"net", "os", "syscall", "path/filepath"},
	}},
	"discovery": {libp2p: true},
	"content": {pure: &purity{
		modules: []string{
			"github.com/ipfs/go-cid", "github.com/multiformats", "github.com/ipld/go-codec-dagpb", "github.com/ipld/go-ipld-prime",
			"golang.org/x/text",
		},
		banned: []string{"net", "os", "syscall"},
	}},
	"store":       {imports: []string{"store/fault"}},
	"store/fault": {},
	"ipfs":        {imports: []string{"store"}, libp2p: true, boxo: true},
	"gateway":     {boxo: true},
	"testnet": {imports: []string{
		"node", "gateway",
		"transfer/sim",  // one of its grounds
		"transfer/wire", // impostors speak it
	}, libp2p: true},

	"testnet/report":  {imports: []string{"testnet"}},
	"testnet/virtual": {imports: []string{"testnet", "node"}, libp2p: true}, // for tests alone: it imports testing

	// Programs that build, check and measure; no part of shoal imports them.
	"scripts/bench":     {imports: []string{"testnet"}, prints: true},
	"scripts/simulate":  {imports: []string{"transfer/sim"}, prints: true},
	"scripts/swarm":     {imports: []string{"testnet", "transfer/wire"}, libp2p: true, prints: true},
	"scripts/vulncheck": {prints: true},
}

// rootFiles are the files that may stand beside the rooms.
var rootFiles = []string{
	".ci/run", ".dockerignore", ".gitattributes", ".gitignore", ".golangci.yml", "ARCHITECTURE.md", "CHANGELOG.md",
	"CONTRIBUTING.md", "Dockerfile", "LICENSE", "Makefile", "README.md", "SECURITY.md", "docker-compose.yml", "go.mod",
	"go.sum", "layout_test.go",
}

// otherDirs hold no code of the program.
var otherDirs = []string{"docs", "scripts"}

// testModules may be imported by every test.
var testModules = []string{"go.uber.org/goleak", "pgregory.net/rapid", "golang.org/x/tools/txtar"}

func TestLayout(t *testing.T) {
	files, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	for _, broken := range violations(os.DirFS("."), files) {
		t.Error(broken)
	}
}

// sources lists the files of the project: what git tracks or would track, and without git everything but build output.
func sources() ([]string, error) {
	out, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err == nil {
		files := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		return slices.DeleteFunc(files, func(f string) bool { _, err := os.Lstat(f); return err != nil }), nil
	}
	var files []string
	err = fs.WalkDir(os.DirFS("."), ".", func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && (p == ".git" || p == "bin" || p == "dist") {
			return fs.SkipDir
		}
		if err == nil && !d.IsDir() {
			files = append(files, p)
		}
		return err
	})
	return files, err
}

// violations returns one line for each rule that a file breaks.
func violations(fsys fs.FS, files []string) []string {
	var broken []string
	nested := nestedModules(files)
	documented := map[string]bool{}
	for _, file := range files {
		if slices.ContainsFunc(nested, func(dir string) bool { return strings.HasPrefix(file, dir+"/") }) {
			continue // has its own go.mod, so none of its dependencies is ours
		}
		if !placed(file) {
			broken = append(broken, file+": stands in no room; a new room must earn itself, and then it is listed here")
			continue
		}
		dir := path.Dir(file)
		if path.Ext(file) != ".go" || dir == "." || strings.Contains("/"+dir+"/", "/testdata/") {
			continue
		}
		room, known := rooms[dir]
		if !known {
			broken = append(broken, file+": is Go code in a directory that is no room")
			continue
		}
		src, err := parse(fsys, file)
		if err != nil {
			broken = append(broken, err.Error())
			continue
		}
		if !src.test {
			documented[dir] = documented[dir] || src.Doc.Text() != ""
		}
		broken = append(broken, room.judge(dir, src)...)
	}
	for dir, has := range documented {
		if !has {
			broken = append(broken, dir+": has no package comment")
		}
	}
	slices.Sort(broken)
	return broken
}

// nestedModules returns the directories below the root that are modules of their own.
func nestedModules(files []string) []string {
	var dirs []string
	for _, f := range files {
		if path.Base(f) == "go.mod" && f != "go.mod" {
			dirs = append(dirs, path.Dir(f))
		}
	}
	return dirs
}

// placed tells whether a file is one of the root's own or lies in a room or another known directory.
func placed(file string) bool {
	if slices.Contains(rootFiles, file) {
		return true
	}
	for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
		if _, known := rooms[dir]; known || slices.Contains(otherDirs, dir) {
			return true
		}
	}
	return false
}

type source struct {
	*ast.File
	fset *token.FileSet
	path string
	test bool
}

func parse(fsys fs.FS, file string) (source, error) {
	data, err := fs.ReadFile(fsys, file)
	if err != nil {
		return source{}, err
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, data, parser.ParseComments|parser.SkipObjectResolution)
	return source{f, fset, file, strings.HasSuffix(file, "_test.go")}, err
}

// judge returns what a file of the room in dir does that the room may not.
func (r room) judge(dir string, src source) []string {
	var broken []string
	say := func(at token.Pos, format string, args ...any) {
		broken = append(broken, fmt.Sprintf("%s:%d: ", src.path, src.fset.Position(at).Line)+fmt.Sprintf(format, args...))
	}
	for _, spec := range src.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			say(spec.Pos(), "%v", err)
		} else if why := r.refuses(dir, imported, src.test); why != "" {
			say(spec.Pos(), "imports %s: %s", imported, why)
		}
	}
	if src.test {
		return broken
	}
	used := map[string]string{} // name in this file → import path
	for _, spec := range src.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(strings.TrimSuffix(imported, "/v2"))
		if spec.Name != nil {
			name = spec.Name.Name
		}
		used[name] = imported
	}
	ast.Inspect(src.File, func(n ast.Node) bool {
		if why := r.effect(n, used); why != "" {
			say(n.Pos(), "%s", why)
		}
		return true
	})
	return broken
}

// refuses says why a file of the room in dir must not import a package, or "" if it may.
func (r room) refuses(dir, imported string, test bool) string {
	if imported == "C" {
		return "shoal builds without cgo"
	}
	if other, ours := strings.CutPrefix(imported, module+"/"); ours {
		if other == dir || other == "content" || slices.Contains(r.imports, other) {
			return ""
		}
		return "no way leads from " + dir + " to " + other
	}
	if below(imported, "github.com/libp2p") && !r.libp2p {
		return "libp2p belongs in transfer, discovery, node, ipfs and testnet"
	}
	if below(imported, "github.com/ipfs/boxo") && !r.boxo {
		return "boxo belongs at the edge, in ipfs and gateway"
	}
	if r.pure == nil {
		return ""
	}
	within := func(prefix string) bool { return below(imported, prefix) }
	if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
		if slices.ContainsFunc(r.pure.modules, within) || test && slices.ContainsFunc(testModules, within) {
			return ""
		}
		return dir + " is pure, and this module is not on its list"
	}
	if !test && imported != "net/url" && slices.ContainsFunc(r.pure.banned, within) {
		return dir + " is pure"
	}
	return ""
}

func below(imported, prefix string) bool {
	return imported == prefix || strings.HasPrefix(imported, prefix+"/")
}

// The functions that look at a clock or at chance, and those that speak to the terminal or end the process.
var (
	clocks    = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}
	seeded    = []string{"New", "NewSource", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "PCG", "ChaCha8", "Zipf"}
	terminals = map[string][]string{
		"fmt": {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
		"os":  {"Stdin", "Stdout", "Stderr", "Exit"},
		"log": {"Print", "Printf", "Println", "Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln"},
	}
)

// effect says why one piece of syntax must not stand in this room, or "" if it may.
func (r room) effect(n ast.Node, used map[string]string) string {
	if r.pure != nil && r.pure.still {
		switch n.(type) {
		case *ast.GoStmt:
			return "starts a goroutine in a room that has none"
		case *ast.ChanType, *ast.SelectStmt:
			return "uses a channel in a room that has none"
		}
	}
	sel, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	pkg, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	from, name := used[pkg.Name], sel.Sel.Name
	if r.pure != nil && r.pure.still {
		if from == "time" && slices.Contains(clocks, name) {
			return "looks at the clock; the time is an argument here"
		}
		if (from == "math/rand" || from == "math/rand/v2") && !slices.Contains(seeded, name) {
			return "takes a random number that no config seeded"
		}
	}
	if !r.prints && slices.Contains(terminals[from], name) {
		return from + "." + name + ": only cmd prints, asks or exits"
	}
	return ""
}

// TestDependenciesHaveReasons expects a line of ARCHITECTURE.md about each module that go.mod requires for ourselves, and no
// line about one that it does not.
func TestDependenciesHaveReasons(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "\n## Direct dependencies\n")
	if !found {
		t.Fatal("ARCHITECTURE.md has no section on direct dependencies")
	}
	direct := directly(string(mod))
	for _, dep := range direct {
		if !strings.Contains(table, "`"+dep+"`") {
			t.Errorf("%s is a direct dependency, and ARCHITECTURE.md does not say why", dep)
		}
	}
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		for i, named := range strings.Split(strings.SplitN(line, "|", 3)[1], "`") {
			if i%2 == 1 && !slices.Contains(direct, named) {
				t.Errorf("ARCHITECTURE.md gives a reason for %s, which is no direct dependency", named)
			}
		}
	}
}

// directly returns the modules that a go.mod requires without calling them indirect.
func directly(mod string) []string {
	var direct []string
	block := ""
	for line := range strings.Lines(mod) {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[1] == "(":
			block = f[0]
			continue
		case len(f) == 1 && f[0] == ")":
			block = ""
			continue
		case len(f) > 2 && f[0] == "require" && block == "":
			f = f[1:]
		case block != "require":
			continue
		}
		if len(f) >= 2 && !strings.Contains(line, "// indirect") {
			direct = append(direct, f[0])
		}
	}
	return direct
}

// TestLayoutSees breaks each rule once and expects to be told.
func TestLayoutSees(t *testing.T) {
	doc := "// Package x is documented.\n"
	for _, c := range []struct{ name, file, src, want string }{
		{"sound code", "node/a.go", doc + `package node; import _ "github.com/shoal-p2p/shoal/transfer"`, ""},
		{"content is open to all", "transfer/wire/a.go", doc + `package wire; import _ "github.com/shoal-p2p/shoal/content"`, ""},
		{"an import that points up", "transfer/a.go", doc + `package transfer; import _ "github.com/shoal-p2p/shoal/node"`, "no way leads"},
		{"an import sideways", "transfer/a.go", doc + `package transfer; import _ "github.com/shoal-p2p/shoal/discovery"`, "no way leads"},
		{"a test that points up", "store/a_test.go", `package store; import _ "github.com/shoal-p2p/shoal/node"`, "no way leads"},
		{"the gateway knowing the node", "gateway/a.go", doc + `package gateway; import _ "github.com/shoal-p2p/shoal/node"`, "no way leads"},
		{"content leaning on a room", "content/a.go", doc + `package content; import _ "github.com/shoal-p2p/shoal/store"`, "no way leads"},
		{"libp2p in cmd", "cmd/shoal/a.go", doc + `package main; import _ "github.com/libp2p/go-libp2p"`, "libp2p belongs"},
		{"libp2p in the wire", "transfer/wire/a.go", doc + `package wire; import _ "github.com/libp2p/go-libp2p/core/peer"`, "libp2p belongs"},
		{"libp2p in a test of the store", "store/a_test.go", `package store; import _ "github.com/libp2p/go-libp2p"`, "libp2p belongs"},
		{"boxo inside", "transfer/a.go", doc + `package transfer; import _ "github.com/ipfs/boxo/bitswap"`, "boxo belongs"},
		{"a module in a pure room", "transfer/engine/a.go", doc + `package engine; import _ "golang.org/x/time/rate"`, "not on its list"},
		{"a module in content", "content/a.go", doc + `package content; import _ "github.com/spf13/cobra"`, "not on its list"},
		{"os in content", "content/a.go", doc + `package content; import _ "os"`, "is pure"},
		{"net in the wire", "transfer/wire/a.go", doc + `package wire; import _ "net/http"`, "is pure"},
		{"sync in the engine", "transfer/engine/a.go", doc + `package engine; import _ "sync/atomic"`, "is pure"},
		{"context in the engine", "transfer/engine/a.go", doc + `package engine; import _ "context"`, "is pure"},
		{"sync in the wire", "transfer/wire/a.go", doc + `package wire; import _ "sync"`, ""},
		{"os in a test of the engine", "transfer/engine/a_test.go", `package engine; import _ "os"`, ""},
		{"the engine knowing the simulator", "transfer/engine/a.go", doc + `package engine; import _ "github.com/shoal-p2p/shoal/transfer/sim"`, "no way leads"},
		{"the clock in the simulator", "transfer/sim/a.go", doc + `package sim; import "time"; var x = time.Now()`, "looks at the clock"},
		{"the clock", "transfer/engine/a.go", doc + `package engine; import "time"; var x = time.Now()`, "looks at the clock"},
		{"the clock renamed", "transfer/engine/a.go", doc + `package engine; import t "time"; var x = t.Now`, "looks at the clock"},
		{"a time value", "transfer/engine/a.go", doc + `package engine; import "time"; var x time.Time; const y = time.Second`, ""},
		{"chance", "transfer/engine/a.go", doc + `package engine; import "math/rand/v2"; var x = rand.IntN(3)`, "random number"},
		{"seeded chance", "transfer/engine/a.go", doc + `package engine; import "math/rand/v2"; var x = rand.New(rand.NewPCG(1, 2))`, ""},
		{"a goroutine", "transfer/engine/a.go", doc + `package engine; func f() { go f() }`, "goroutine"},
		{"a channel", "transfer/engine/a.go", doc + `package engine; var c chan int`, "channel"},
		{"printing", "node/a.go", doc + `package node; import "fmt"; func f() { fmt.Println() }`, "only cmd prints"},
		{"exiting", "store/a.go", doc + `package store; import "os"; func f() { os.Exit(1) }`, "only cmd prints"},
		{"printing in cmd", "cmd/shoal/a.go", doc + `package main; import "fmt"; func f() { fmt.Println() }`, ""},
		{"cgo", "store/a.go", doc + `package store; import "C"`, "without cgo"},
		{"a package without a comment", "store/a.go", `package store`, "no package comment"},
		{"a new room", "util/a.go", doc + `package util`, "stands in no room"},
		{"a room below a room", "node/util/a.go", doc + `package util`, "no room"},
		{"a stray file", "notes.txt", "", "stands in no room"},
		{"a file that does not parse", "store/a.go", "package", "expected"},
		{"other files of a room", "gateway/web/index.html", "", ""},
		{"code in testdata", "store/testdata/a.go", "package anything", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := violations(fstest.MapFS{c.file: {Data: []byte(c.src)}}, []string{c.file})
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("complains about sound code: %q", got)
			case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
				t.Errorf("got %q, want one line that says %q", got, c.want)
			}
		})
	}
	nested := fstest.MapFS{"content/oracle/go.mod": {}, "content/oracle/a.go": {Data: []byte("package x")}}
	if got := violations(nested, []string{"content/oracle/go.mod", "content/oracle/a.go"}); len(got) > 0 {
		t.Errorf("a module of its own is judged by our rules: %q", got)
	}
}

// TestRoomsNameRooms keeps the table itself sound: every room that another may import is one, and no two lean on each other.
func TestRoomsNameRooms(t *testing.T) {
	var visit func(dir string, above []string) error
	visit = func(dir string, above []string) error {
		r, known := rooms[dir]
		if !known {
			return fmt.Errorf("%s is no room", dir)
		}
		if slices.Contains(above, dir) {
			return errors.New("a cycle: " + strings.Join(append(above, dir), " → "))
		}
		for _, next := range r.imports {
			if err := visit(next, append(slices.Clone(above), dir)); err != nil {
				return err
			}
		}
		return nil
	}
	for dir := range rooms {
		if err := visit(dir, nil); err != nil {
			t.Error(err)
		}
	}
}
