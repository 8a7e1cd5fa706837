package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// decode reads a request strictly: one object, no field twice or unknown, not deeper than maxDepth, nothing after it. What
// two readers could understand in two ways is not understood at all.
func decode(body []byte, into any) error {
	if !utf8.Valid(body) {
		return malformed(errors.New("not UTF-8"))
	}
	if err := scan(body); err != nil {
		return malformed(err)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return malformed(err)
	}
	return nil
}

// malformed quotes no more of the request than a line.
func malformed(err error) error {
	m := err.Error()
	if len(m) > 200 {
		m = strings.ToValidUTF8(m[:200], "") + "…"
	}
	return &refusal{http.StatusBadRequest, "malformed", "the request is not understood: " + m}
}

// scan walks over the tokens, without recursion, and keeps the names of the objects that are open.
func scan(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var open []map[string]bool // of each open object or array; nil for an array
	for first := true; first || len(open) > 0; first = false {
		t, err := d.Token()
		if err != nil {
			return err
		}
		if first && t != json.Delim('{') {
			return errors.New("not an object")
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if len(open) == maxDepth {
				return fmt.Errorf("more than %d levels deep", maxDepth)
			}
			var names map[string]bool
			if t == json.Delim('{') {
				names = map[string]bool{}
			}
			open = append(open, names)
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
		if err := nextName(d, open); err != nil {
			return err
		}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the object")
	}
	return nil
}

// nextName reads the name of the next field, if one comes next, and remembers it.
func nextName(d *json.Decoder, open []map[string]bool) error {
	if len(open) == 0 || open[len(open)-1] == nil || !d.More() {
		return nil
	}
	t, err := d.Token()
	if err != nil {
		return err
	}
	name, ok := t.(string)
	if !ok {
		return errors.New("a field without a name")
	}
	names := open[len(open)-1]
	if names[fold(name)] {
		return errors.New("a field comes twice")
	}
	names[fold(name)] = true
	return nil
}

// fold maps names to one form if encoding/json takes them for the same field.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
			least = min(least, o)
		}
		return least
	}, s)
}
