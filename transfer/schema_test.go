package transfer

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"
)

// T8: no message can carry a path, or anything else that could lead to a file. What peers say of content is hashes and
// numbers; the one text is the name that a hello suggests, and it is read by nobody who opens files.
func TestNoPathOnWire(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "wire/message.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	harmless := []string{"bool", "uint32", "uint64", "cid.Cid", "Code", "[]content.Range", "[]Piece", "[]Peer", "[][]byte", "[]byte", "Proof"}
	texts := map[string]bool{"Hello.Name": true}
	seen := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		fields, ok := spec.Type.(*ast.StructType)
		if !ok {
			return true
		}
		seen++
		for _, f := range fields.Fields.List {
			for _, name := range f.Names {
				if what := typeName(f.Type); !slices.Contains(harmless, what) && !(what == "string" && texts[spec.Name.Name+"."+name.Name]) {
					t.Errorf("%s.%s is a %s: is there no way in it to name a file?", spec.Name.Name, name.Name, what)
				}
			}
		}
		return true
	})
	if seen < 14 {
		t.Errorf("only %d messages were looked at", seen)
	}
}

// typeName writes a type as it stands in the source.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return typeName(e.X) + "." + e.Sel.Name
	case *ast.ArrayType:
		return "[]" + typeName(e.Elt)
	}
	return fmt.Sprintf("%T", e)
}
