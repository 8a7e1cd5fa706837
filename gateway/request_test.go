package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// requests are bodies and whether they are taken.
var requests = []struct {
	name, body string
	fine       bool
}{
	{"an object", `{"name":"x"}`, true},
	{"an empty object", `{}`, true},
	{"all fields, with spaces", ` { "name" : "x", "count": 3, "list": ["a", "b"], "ratio": 1.5e3 } ` + "\n", true},
	{"nothing", ``, false},
	{"spaces", "  \n", false},
	{"null", `null`, false},
	{"an array", `[]`, false},
	{"a string", `"name"`, false},
	{"a number", `1`, false},
	{"cut off", `{"name":"x"`, false},
	{"without a value", `{"name":}`, false},
	{"without a colon", `{"name" "x"}`, false},
	{"a comma too many", `{"name":"x",}`, false},
	{"single quotes", `{'name':'x'}`, false},
	{"a comment", `{"name":"x"/**/}`, false},
	{"a second object", `{"name":"x"}{"name":"y"}`, false},
	{"garbage behind", `{"name":"x"}x`, false},
	{"a NUL behind", "{\"name\":\"x\"}\x00", false},
	{"a byte order mark", "\xef\xbb\xbf{}", false},
	{"no UTF-8", "{\"name\":\"\xff\"}", false},
	{"an unknown field", `{"nmae":"x"}`, false},
	{"a field twice", `{"name":"x","name":"x"}`, false},
	{"a field twice in two cases", `{"name":"x","NAME":"y"}`, false},
	{"a field twice by an escape", `{"name":"x","n\u0061me":"y"}`, false},
	{"a field twice by an odd letter", `{"list":["x"],"liſt":["y"]}`, false},
	{"a field twice, nested", `{"list":[{"a":1,"a":2}]}`, false},
	{"a string for a number", `{"count":"3"}`, false},
	{"a fraction for a whole number", `{"count":3.5}`, false},
	{"a number beyond int64", `{"count":99999999999999999999}`, false},
	{"a number beyond float64", `{"ratio":1e999}`, false},
	{"a number of 100,000 digits", `{"count":` + strings.Repeat("9", 100_000) + `}`, false},
	{"NaN", `{"ratio":NaN}`, false},
	{"100,000 levels of arrays", `{"list":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, false},
	{"100,000 levels of objects", strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000), false},
	{"100,000 levels, unfinished", strings.Repeat(`[`, 100_000), false},
}

func TestDecode(t *testing.T) {
	for _, c := range requests {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			err := decode([]byte(c.body), &ask{})
			var no *refusal
			switch {
			case c.fine && err != nil:
				t.Errorf("got %v for a sound request", err)
			case !c.fine && (!errors.As(err, &no) || no.status != http.StatusBadRequest):
				t.Errorf("got %v, want a refusal with status 400", err)
			case !c.fine && len(err.Error()) > 300:
				t.Errorf("the refusal quotes %d bytes", len(err.Error()))
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestDecodeStopsOneLevelTooDeep(t *testing.T) {
	nested := func(levels int) []byte {
		return []byte(strings.Repeat(`{"a":`, levels-1) + `{}` + strings.Repeat("}", levels-1))
	}
	var any map[string]any
	if err := decode(nested(maxDepth), &any); err != nil {
		t.Errorf("%d levels: %v", maxDepth, err)
	}
	if err := decode(nested(maxDepth+1), &any); err == nil {
		t.Errorf("%d levels are taken", maxDepth+1)
	}
}

// FuzzRequest sends any method, path, host, content type and body to the server's handler: every answer is a refusal with
// an error line or ends with a result or an error, and what is carried out was sound in every respect.
func FuzzRequest(f *testing.F) {
	for _, c := range requests {
		if len(c.body) < 1000 {
			f.Add("POST", "/v1/echo", Host, "application/json", []byte(c.body))
		}
	}
	f.Add("GET", "/v1/echo", Host, "application/json", []byte(`{}`))
	f.Add("POST", "/v1/%2e%2e/echo", Host, "application/json", []byte(`{}`))
	f.Add("POST", "/v1/echo?a=b", Host, "application/json", []byte(`{}`))
	f.Add("POST", "/v1/bytes", "localhost", "text/plain", []byte(`{"count":2}`))
	f.Add("POST", "/v1/fail", Host, "application/json;charset=utf-8", []byte(`{"name":"x"}`))
	f.Add("POST", "/v1/panic", Host, "application/json", []byte(`{}`))
	s := &served{Control: NewControl(Config{Socket: "unused", Code: codeOf})}
	s.register()
	delete(s.verbs, "hold")
	f.Fuzz(func(t *testing.T, method, path, host, ctype string, body []byte) {
		r, err := http.NewRequest(method, "http://shoal/", bytes.NewReader(body))
		if err != nil {
			return
		}
		if err := r.URL.UnmarshalBinary([]byte(path)); err != nil {
			return
		}
		r.Host = host
		r.Header.Set("Content-Type", ctype)
		var a ask
		if json.Unmarshal(body, &a) == nil && a.Count > 100 {
			return // a sound request for very many events
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		checkAnswer(t, w)
		if w.Code == http.StatusOK && (method != "POST" || host != Host || !utf8.Valid(body) || !json.Valid(body)) {
			t.Errorf("carried out: %s %s for %s with %q", method, path, host, body)
		}
	})
}

// checkAnswer reads an answer as the client does.
func checkAnswer(t *testing.T, w *httptest.ResponseRecorder) {
	rest := w.Body.Bytes()
	for {
		text, after, found := bytes.Cut(rest, []byte("\n"))
		var l line
		if err := json.Unmarshal(text, &l); !found || err != nil {
			t.Fatalf("status %d: the answer breaks off at %.100q: %v", w.Code, text, err)
		}
		if l.Data > 0 {
			after = after[l.Data:]
		}
		rest = after
		if l.Result == nil && l.Error == nil {
			continue
		}
		if len(rest) > 0 {
			t.Errorf("more follows the end of the answer: %.100q", rest)
		}
		if w.Code != http.StatusOK && l.Error == nil {
			t.Errorf("status %d, and no error", w.Code)
		}
		return
	}
}
