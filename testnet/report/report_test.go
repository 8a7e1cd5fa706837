package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/shoal-p2p/shoal/testnet"
)

// swarm makes up the events of one seeder and some receivers of 64 MiB, as a run would have written them.
type swarm struct {
	receivers int
	pace      float64 // how many times the bound it takes
	name      string  // that the events give to everything, if they are hostile
}

func (s swarm) events() []testnet.Event {
	chance := rand.New(rand.NewPCG(7, 7))
	const size, up = 64 << 20, 12.5e6
	bound := size / up * 1.2
	crowd := func(i int) string { return fmt.Sprintf("crowd-%d%s", i+1, s.name) }
	out := []testnet.Event{
		{Kind: "begin", Scenario: "flash-crowd" + s.name, Ground: "processes", Bound: bound},
		{Kind: "node", Node: "seed", Group: "seed" + s.name, Peer: "12D3KooWSeed" + s.name, Up: up, Down: up},
		{Kind: "share", T: 0.1, Node: "seed", Content: "film" + s.name, Bytes: size, CID: "bafk"},
	}
	for i := range s.receivers {
		out = append(out, testnet.Event{Kind: "node", Node: crowd(i), Group: "crowd" + s.name, Role: "honest" + s.name, Peer: "12D3KooWPeer", Up: up, Down: up})
	}
	for i := range s.receivers {
		out = append(out,
			testnet.Event{Kind: "fetch", T: 1, Node: crowd(i), Content: "film" + s.name, CID: "bafk"},
			testnet.Event{Kind: "lookup", T: 1.2, Node: crowd(i), Content: "film" + s.name, Found: 1, Asked: 3 + i%9, Hops: 1 + i%4, Seconds: 0.05 + chance.Float64()/5})
	}
	end := make([]float64, s.receivers)
	for i := range end {
		end[i] = bound * s.pace * (0.9 + 0.1*float64(i)/float64(max(1, s.receivers-1)))
	}
	done := 0
	for t := 1.25; done < s.receivers; t += 0.25 {
		out = append(out, testnet.Event{Kind: "sample", T: t, Node: "seed", Sent: int64(t * up), Memory: 50 << 20, CPU: t / 4, Peers: 8})
		for i, took := range end {
			if end[i] < 0 {
				continue
			}
			part := min(1, (t-1)/took)
			x := testnet.Event{T: t, Kind: "sample", Node: crowd(i), Content: "film" + s.name, Bytes: int64(part * part * size), Total: size}
			x.Received, x.Sent, x.Memory, x.CPU = x.Bytes+1000, x.Bytes*9/10, 40<<20+int64(part*20e6), t/3+chance.Float64()/50
			x.Duplicate = x.Bytes / 200
			out = append(out, x)
			if part < 1 {
				continue
			}
			end[i] = -1
			done++
			out = append(out, testnet.Event{T: t, Kind: "done", Node: crowd(i), Content: "film" + s.name, Bytes: size, Duplicate: size / 200, Seconds: t - 1, Bound: bound})
			for range min(8, s.receivers-1) {
				from := chance.IntN(s.receivers)
				if from != i {
					out = append(out, testnet.Event{T: t, Kind: "fed", Node: crowd(i), From: crowd(from), Content: "film" + s.name, Bytes: size / 9})
				}
			}
			out = append(out, testnet.Event{T: t, Kind: "fed", Node: crowd(i), From: "seed", Content: "film" + s.name, Bytes: size / 9})
		}
		if t == 3 {
			out = append(out,
				testnet.Event{T: t, Kind: "cut", Sides: [][]string{{"seed", crowd(0)}, {crowd(1)}}},
				testnet.Event{T: t, Kind: "down", Node: crowd(0), Reason: "killed" + s.name})
		}
		if t == 4 {
			out = append(out, testnet.Event{T: t, Kind: "cut"}, testnet.Event{T: t, Kind: "up", Node: crowd(0)},
				testnet.Event{T: t, Kind: "link", Node: crowd(1), Up: 5e6, Down: 5e6}, testnet.Event{T: t, Kind: "note", Reason: "a remark" + s.name})
		}
	}
	t := 1 + bound*s.pace + 1
	return append(out,
		testnet.Event{T: t, Kind: "verified", Node: crowd(0), Content: "film" + s.name, OK: true},
		testnet.Event{T: t, Kind: "expect", Name: "complete: crowd" + s.name, OK: true, Want: "1.6x" + s.name, Got: "1.3x"},
		testnet.Event{T: t, Kind: "expect", Name: "duplicates", Want: "0.1%", Got: "0.5%" + s.name},
		testnet.Event{T: t, Kind: "end", OK: false, Seconds: t})
}

func lines(t *testing.T, events []testnet.Event) []byte {
	t.Helper()
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	for _, e := range events {
		if err := out.Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func (s swarm) run(t *testing.T) *Run {
	t.Helper()
	r, err := Read(t.Context(), bytes.NewReader(lines(t, s.events())))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// written is a page, kept for people to look at by -artifacts.
func written(t *testing.T, name string, write func(*bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func parsed(t *testing.T, text []byte) *html.Node {
	t.Helper()
	doc, err := html.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// attribute is what an element says of itself.
func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// sections are the parts of a page by their names.
func sections(doc *html.Node) map[string]*html.Node {
	out := map[string]*html.Node{}
	for n := range doc.Descendants() {
		if n.Data == "section" {
			out[attribute(n, "id")] = n
		}
	}
	return out
}

func words(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// count counts the elements below n that have a name and a text in their style.
func styledLike(n *html.Node, element, style string) (found int) {
	for d := range n.Descendants() {
		if d.Data == element && strings.Contains(attribute(d, "style"), style) {
			found++
		}
	}
	return found
}

// closed expects a page that loads and runs nothing.
func closed(t *testing.T, doc *html.Node) {
	t.Helper()
	known := map[string]bool{}
	for _, name := range strings.Fields("html head meta title style body header section h1 h2 p strong figure figcaption ul li i div span table tbody tr th td svg g path text") {
		known[name] = true
	}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if !known[n.Data] {
			t.Errorf("there is an element %q", n.Data)
		}
		for _, a := range n.Attr {
			value := strings.ToLower(a.Val)
			if strings.HasPrefix(a.Key, "on") || a.Key == "href" || a.Key == "src" || strings.Contains(value, "url(") || strings.Contains(value, "http") && a.Key != "http-equiv" {
				t.Errorf("%s has %s=%q", n.Data, a.Key, a.Val)
			}
		}
		if n.Data == "style" && (strings.Contains(words(n), "url(") || strings.Contains(words(n), "@import")) {
			t.Error("the style asks for something that is not in the page")
		}
	}
}

func TestPageTellsWhatHappened(t *testing.T) {
	r := swarm{receivers: 6, pace: 1.3}.run(t)
	doc := parsed(t, written(t, "small.html", func(b *bytes.Buffer) error { return r.WritePage(b) }))
	closed(t, doc)
	lead := words(doc)
	for _, want := range []string{"flash-crowd, on processes, 7 nodes", "6 of 6 fetches ended well", "× the bound of", "of the bytes came twice", "1 of 2 expectations hold"} {
		if !strings.Contains(lead, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	parts := sections(doc)
	for name, want := range map[string]string{
		"expectations": "duplicates 0.1% 0.5%", "completion": "bound ", "throughput": "average at the bound", "fed": "giver", "duplicates": "that came twice",
		"lookups": "6 look-ups", "resources": "% of a core", "happened": "crowd-1: killed", "nodes": "…KooWPeer",
	} {
		if parts[name] == nil {
			t.Errorf("there is no section %q", name)
		} else if got := words(parts[name]); !strings.Contains(got, want) {
			t.Errorf("section %s does not say %q, but %q", name, want, got)
		}
	}
	if got := styledLike(parts["completion"], "path", "var(--bound)"); got != 1 {
		t.Errorf("%d bounds are drawn, want 1", got)
	}
	if got := styledLike(parts["completion"], "path", "var(--hue-1)"); got != 6 {
		t.Errorf("%d curves of receivers are drawn, want 6", got)
	}
	if got := styledLike(parts["completion"], "path", "var(--fault)"); got != 5 {
		t.Errorf("%d faults are drawn, want 5", got)
	}
	if strings.Contains(lead, "#0102") {
		t.Error("a paint is shown as text")
	}
}

func TestPageOfHundredNodesIsSmall(t *testing.T) {
	for receivers, most := range map[int]int{99: 2 << 20, 2000: 2 << 20} {
		r := swarm{receivers: receivers, pace: 1.2}.run(t)
		page := written(t, fmt.Sprintf("%d.html", receivers), func(b *bytes.Buffer) error { return r.WritePage(b) })
		if len(page) > most {
			t.Errorf("the page of %d receivers has %d bytes, want no more than %d", receivers, len(page), most)
		}
		doc := parsed(t, page)
		closed(t, doc)
		if got := words(sections(doc)["fed"]); !strings.Contains(got, fmt.Sprintf("40 of %d nodes", receivers+1)) {
			t.Errorf("the matrix does not say that it is cut: %q", got)
		}
		got := words(sections(doc)["completion"])
		if spread := strings.Contains(got, "too many to draw"); spread != (receivers > shownCurves) {
			t.Errorf("%d receivers: %q", receivers, got)
		}
	}
}

// TestPageOfASimulatedRun has the events that a ready scenario brings, with a hundred nodes.
func TestPageOfASimulatedRun(t *testing.T) {
	text, ok := testnet.ReadyScenario("flash-crowd")
	if !ok {
		t.Fatal("there is no scenario flash-crowd")
	}
	sc, err := testnet.ParseScenario(bytes.Replace(text, []byte("nodes: 16"), []byte("nodes: 99"), 1))
	if err != nil {
		t.Fatal(err)
	}
	var events []testnet.Event
	if err := testnet.Simulate(t.Context(), sc, func(e testnet.Event) { events = append(events, e) }); err != nil {
		t.Fatal(err)
	}
	r, err := Read(t.Context(), bytes.NewReader(lines(t, events)))
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Summary(); s.Nodes != 100 || s.Transfers.Done != 99 || s.Transfers.Times < 1 {
		t.Errorf("got %+v, want 99 fetches that took longer than the bound", s)
	}
	page := written(t, "simulated.html", func(b *bytes.Buffer) error { return r.WritePage(b) })
	if len(page) > 2<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}
	doc := parsed(t, page)
	closed(t, doc)
	for name, part := range sections(doc) {
		if drawn := styledLike(part, "path", "var(--") > 0; !drawn && (name == "completion" || name == "throughput" || name == "fed") {
			t.Errorf("nothing is drawn in section %s", name)
		}
	}
}

func TestNamesAreOnlyText(t *testing.T) {
	evil := "</text><script>alert(1)</script><img src=x onerror=alert(1)>\"'style=\"fill:#010200\" {{.}} \x1b[2J\u202e"
	s := swarm{receivers: 6, pace: 1.3, name: evil}
	doc := parsed(t, written(t, "hostile.html", func(b *bytes.Buffer) error { return s.run(t).WritePage(b) }))
	closed(t, doc)
	if text := words(doc); !strings.Contains(text, "<script>alert(1)</script>") || strings.ContainsAny(text, "\x1b\u202e") {
		t.Error("a hostile name is not shown as what it is")
	}
	a, b := s.run(t), s.run(t)
	closed(t, parsed(t, written(t, "hostile2.html", func(w *bytes.Buffer) error { return WriteComparison(w, a, b, evil, evil) })))
}

func TestSparseRunsHavePages(t *testing.T) {
	for name, events := range map[string][]testnet.Event{
		"only a beginning":   {{Kind: "begin", Scenario: "x"}},
		"a node":             {{Kind: "node", Node: "a"}},
		"a fetch":            {{Kind: "fetch", Node: "a", Content: "c"}},
		"done at once":       {{Kind: "fetch", Node: "a", Content: "c"}, {Kind: "done", Node: "a", Content: "c"}},
		"one sample":         {{Kind: "sample", Node: "a", Memory: 1, CPU: 1, Sent: 1}},
		"one look-up":        {{Kind: "lookup", Node: "a"}},
		"a far look-up":      {{Kind: "lookup", Node: "a", Hops: math.MaxInt, Asked: math.MaxInt, Found: math.MaxInt, Seconds: 1e9}},
		"fed by itself":      {{Kind: "fed", Node: "a", From: "a", Bytes: 1}},
		"fed nothing":        {{Kind: "fed", Node: "a", From: "b"}},
		"the largest values": {{Kind: "sample", T: 1e9, Node: "a", Memory: 1<<63 - 1, CPU: 1e9, Sent: 1<<63 - 1, Received: 1<<63 - 1, Up: 1e15}, {T: 1e9, Kind: "done", Node: "a", Content: "c", Bytes: 1<<63 - 1, Duplicate: 1<<63 - 1, Bound: 1e9, Seconds: 1e9}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Read(t.Context(), bytes.NewReader(lines(t, events)))
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := r.WritePage(&b); err != nil {
				t.Error(err)
			}
			if err := WriteComparison(&b, r, r, "a", "b"); err != nil {
				t.Error(err)
			}
			if _, err := json.Marshal(r.Summary()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReadNamesTheBrokenLine(t *testing.T) {
	good := `{"t":1,"event":"node","node":"a"}` + "\n"
	for name, c := range map[string]struct{ text, want string }{
		"empty":               {"", "nothing is in it"},
		"no JSON":             {good + "hello\n" + good, "line 2"},
		"a blank line":        {good + "\n" + good, "line 2"},
		"an array":            {"[]\n", "line 1"},
		"binary":              {"\x00\x01\n", "line 1"},
		"a negative size":     {good + good + `{"event":"sample","node":"a","bytes":-1}` + "\n", "line 3"},
		"a negative time":     {`{"t":-1,"event":"note"}` + "\n", "line 1"},
		"a time without end":  {`{"t":1.1e9,"event":"note"}` + "\n", "line 1"},
		"a rate without end":  {`{"up":1.1e15,"event":"note"}` + "\n", "line 1"},
		"a negative number":   {`{"hops":-1,"event":"note"}` + "\n", "line 1"},
		"a line too long":     {good + `{"event":"note","reason":"` + strings.Repeat("x", maxLine) + `"}` + "\n", "line 2 is longer"},
		"a long line unended": {strings.Repeat("x", maxLine+1), "line 1 is longer"},
	} {
		_, err := Read(t.Context(), strings.NewReader(c.text))
		if !errors.Is(err, ErrEvents) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
	whole := strings.Repeat("x", maxLine-len(`{"event":"note","reason":""}`+"\n"))
	if _, err := Read(t.Context(), strings.NewReader(`{"event":"note","reason":"`+whole+`"}`+"\n")); err != nil {
		t.Errorf("a line of just the greatest length: %v", err)
	}
}

func TestReadBearsACrash(t *testing.T) {
	text := lines(t, swarm{receivers: 2, pace: 1}.events())
	ends := map[int]bool{}
	for at := range text {
		ends[at+1] = text[at] == '\n' || at+1 < len(text) && text[at+1] == '\n'
	}
	for at := len(text) - 400; at <= len(text); at++ {
		r, err := Read(t.Context(), bytes.NewReader(text[:at]))
		if err != nil {
			t.Fatalf("cut after %d of %d bytes: %v", at, len(text), err)
		}
		if told := strings.Contains(strings.Join(r.remarks, " "), "cut off"); told == ends[at] {
			t.Fatalf("cut after %d of %d bytes: the remarks are %q", at, len(text), r.remarks)
		}
	}
}

func TestReadHasCaps(t *testing.T) {
	for name, c := range map[string]struct {
		most int
		line func(i int) string
	}{
		"nodes":    {maxNodes, func(i int) string { return fmt.Sprintf(`{"event":"node","node":"n%d"}`, i) }},
		"contents": {maxContents, func(i int) string { return fmt.Sprintf(`{"event":"share","node":"a","content":"c%d"}`, i) }},
		"fetches": {maxFetches, func(i int) string {
			return fmt.Sprintf(`{"event":"fetch","node":"n%d","content":"c%d"}`, i%(maxFetches/maxContents*2), i/(maxFetches/maxContents*2))
		}},
	} {
		var b strings.Builder
		for i := range c.most {
			b.WriteString(c.line(i) + "\n")
		}
		if _, err := Read(t.Context(), strings.NewReader(b.String())); err != nil {
			t.Errorf("%d %s: %v", c.most, name, err)
		}
		b.WriteString(c.line(c.most) + "\n")
		if _, err := Read(t.Context(), strings.NewReader(b.String())); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("one of the %s too many: %v", name, err)
		}
	}
}

func TestListsHaveAnEnd(t *testing.T) {
	for kind, c := range map[string]struct {
		most int
		says string
	}{
		"lookup": {maxLookups, "1 look-ups"}, "note": {maxHappened, "1 happenings"}, "expect": {maxExpected, "1 expectations"},
	} {
		text := strings.Repeat(fmt.Sprintf(`{"event":%q}`, kind)+"\n", c.most+1)
		r, err := Read(t.Context(), strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(r.remarks, " "); !strings.Contains(got, c.says) {
			t.Errorf("one %s too many: the remarks are %q", kind, got)
		}
	}
}

func TestCompare(t *testing.T) {
	a, b := swarm{receivers: 6, pace: 1.3}.run(t), swarm{receivers: 9, pace: 2.6}.run(t)
	rows := map[string]Row{}
	for _, row := range Compare(a.Summary(), b.Summary()) {
		rows[row.Name] = row
	}
	if r := rows["nodes"]; r.A != 7 || r.B != 10 {
		t.Errorf("nodes: got %+v", r)
	}
	if r := rows["times the bound"]; r.A < 1.29 || r.A > 1.4 || r.Ratio < 1.9 || r.Ratio > 2.1 {
		t.Errorf("times the bound: got %+v, want twice as many", r)
	}
	if r := rows["memory of a node, greatest"]; r.Text(0) != "–" {
		t.Errorf("a memory that is not known is written %q", r.Text(0))
	}
	if r := rows["came twice"]; r.Text(r.A) != "0.50 %" {
		t.Errorf("came twice: got %q", r.Text(r.A))
	}
	if r := rows["expectations that hold"]; r.Ratio != 1 || r.Text(r.A) != "1" || r.Times() != "1.00 ×" {
		t.Errorf("expectations: got %+v", r)
	}
	if _, ok := rows["copies that differ"]; ok {
		t.Error("there is a row about what neither run has")
	}
	doc := parsed(t, written(t, "compare.html", func(w *bytes.Buffer) error { return WriteComparison(w, a, b, "before", "after") }))
	closed(t, doc)
	parts := sections(doc)
	if got := words(parts["figures"]); !strings.Contains(got, "times the bound 1.") || !strings.Contains(got, "before after") {
		t.Errorf("the table says %q", got)
	}
	for paint, want := range map[string]int{"var(--hue-0)": 6, "var(--faint-1)": 9, "var(--bound)": 2} {
		if got := styledLike(parts["completion"], "path", paint); got != want {
			t.Errorf("%d lines have %s, want %d", got, paint, want)
		}
	}
}

// TestRestartsDoNotHideFigures has a node whose counters begin anew.
func TestRestartsDoNotHideFigures(t *testing.T) {
	r, err := Read(t.Context(), bytes.NewReader(lines(t, []testnet.Event{
		{T: 0, Kind: "share", Node: "b", Content: "c", Bytes: 100},
		{T: 0, Kind: "fetch", Node: "a", Content: "c"},
		{T: 1, Kind: "sample", Node: "a", Content: "c", Bytes: 60, Total: 100, Received: 70, Sent: 10, Duplicate: 6, CPU: 2},
		{T: 2, Kind: "down", Node: "a", Reason: "killed"},
		{T: 3, Kind: "sample", Node: "a", Content: "c", Bytes: 50, Total: 100, Received: 5, Sent: 1, Duplicate: 1, CPU: 0.5},
		{T: 4, Kind: "done", Node: "a", Content: "c", Bytes: 100, Duplicate: 3, Seconds: 4},
		{T: 5, Kind: "sample", Node: "a", Content: "c", Received: 60, Sent: 7, CPU: 1},
		{T: 6, Kind: "end", OK: true},
	})))
	if err != nil {
		t.Fatal(err)
	}
	n, _ := r.nodes.get("a")
	if n.received.total() != 130 || n.sent.total() != 17 || n.cpu.total() != 3000 {
		t.Errorf("received %v, sent %v, used %v ms", n.received.total(), n.sent.total(), n.cpu.total())
	}
	if arrived := r.arrived.sums(); math.Abs(arrived[len(arrived)-1].Y-100) > 1e-9 {
		t.Errorf("%v bytes arrived, want each of 100 once", arrived[len(arrived)-1].Y)
	}
	s := r.Summary()
	if s.Transfers.Bytes != 100 || s.Transfers.Duplicate != 0.09 || s.Transfers.Last != 4 || !s.Ended || !s.OK {
		t.Errorf("got %+v", s)
	}
}

// TestOneLookAtSeveralContents has samples that a node's every fetch brings, all with the same figures.
func TestOneLookAtSeveralContents(t *testing.T) {
	var events []testnet.Event
	for i := range 20 {
		for j, content := range []string{"a", "b"} {
			events = append(events, testnet.Event{T: float64(i) + float64(j)/1000, Kind: "sample", Node: "n", Content: content, CPU: float64(i), Received: int64(i) * 10})
		}
	}
	r, err := Read(t.Context(), bytes.NewReader(lines(t, events)))
	if err != nil {
		t.Fatal(err)
	}
	n, _ := r.nodes.get("n")
	for _, p := range n.load.points {
		if p.Y < 0.9 {
			t.Errorf("at %v the load is %v, want 1", p.X, p.Y)
		}
	}
	if n.received.total() != 190 || n.cpu.total() != 19_000 {
		t.Errorf("received %v, used %v ms", n.received.total(), n.cpu.total())
	}
}

func TestFlowKeepsAmounts(t *testing.T) {
	var f flow
	sum := 0.0
	for i := range 1000 {
		f.add(float64(i)*0.3, float64(i)*0.3+0.7, float64(i))
		sum += float64(i)
	}
	got := f.sums()
	if last := got[len(got)-1].Y; last < sum*0.999999 || last > sum*1.000001 || len(f.bins) > rateBins {
		t.Errorf("%v went in, %v came out in %d bins", sum, last, len(f.bins))
	}
}

func TestCurveStaysSmall(t *testing.T) {
	var c curve
	for i := range 100_000 {
		c.add(float64(i)/10, float64(i))
	}
	if last := c.points[len(c.points)-1]; len(c.points) > curvePoints || last.Y != 99_999 || c.points[0].X != 0 {
		t.Errorf("%d points, the last %v", len(c.points), last)
	}
	if v, ok := c.at(5000); !ok || v < 49_990 || v > 50_010 {
		t.Errorf("at 5000 it is %v", v)
	}
}

func FuzzEvents(f *testing.F) {
	for _, e := range (swarm{receivers: 2, pace: 1.1}).events() {
		line, err := json.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	var all []byte
	for i, e := range (swarm{receivers: 3, pace: 1.1}).events() {
		line, _ := json.Marshal(e) // as above
		if all = append(append(all, line...), '\n'); i%16 == 0 {
			f.Add(all)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Read(t.Context(), bytes.NewReader(text))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := r.WritePage(&b); err != nil {
			t.Fatal(err)
		}
		closed(t, parsed(t, b.Bytes()))
		if _, err := json.Marshal(r.Summary()); err != nil {
			t.Fatal(err)
		}
	})
}
