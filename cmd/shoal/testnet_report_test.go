package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const aRecord = `{"t":0,"event":"begin","scenario":"one-to-many","ground":"processes"}
{"t":0,"event":"share","node":"seed","content":"film","bytes":1048576}
{"t":0.5,"event":"fetch","node":"a","content":"film"}
{"t":1,"event":"sample","node":"a","content":"film","bytes":524288,"total":1048576,"memory":50000000,"cpu":0.1,"received":530000}
{"t":2.5,"event":"done","node":"a","content":"film","bytes":1048576,"seconds":2,"bound":1.6}
{"t":3,"event":"end","ok":true}
`

// record writes the events of a run into a folder of its own.
func record(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "events.jsonl"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTestnetReport(t *testing.T) {
	w, dir := newWorld(t), record(t, aRecord)
	exit, out, errs := w.run(t, "testnet", "report", dir)
	if want := "had film after 2.00 s, 1.25 × the bound of 1.60 s"; exit != 0 || !strings.Contains(out, want) {
		t.Errorf("exit %d, %q does not say %q; %s", exit, out, want, errs)
	}
	page := filepath.Join(dir, "report.html")
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "1.25 × the bound") {
		t.Errorf("%d bytes in the page, %v", len(text), err)
	}
	other := filepath.Join(t.TempDir(), "page.html")
	exit, out, errs = w.run(t, "testnet", "report", filepath.Join(dir, "events.jsonl"), "-o", other, "--json")
	var got struct {
		Page    string `json:"page"`
		Summary struct {
			Transfers struct {
				Times float64 `json:"times"`
			} `json:"transfers"`
		} `json:"summary"`
	}
	if err := json.Unmarshal([]byte(out), &got); exit != 0 || err != nil || got.Page != other || got.Summary.Transfers.Times != 1.25 {
		t.Errorf("exit %d, %q, %v; %s", exit, out, err, errs)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestTestnetCompare(t *testing.T) {
	w, a, b := newWorld(t), record(t, aRecord), record(t, strings.Replace(aRecord, `"t":2.5`, `"t":2.9`, 1))
	exit, out, errs := w.run(t, "testnet", "compare", a, b)
	line := strings.Fields(strings.SplitN(strings.SplitN(out, "times the bound", 2)[1], "\n", 2)[0])
	if exit != 0 || strings.Join(line, " ") != "1.25 1.50 1.20 ×" {
		t.Errorf("exit %d, the table has %q in\n%s%s", exit, line, out, errs)
	}
	if _, err := os.Stat(filepath.Join(b, "compare.html")); err != nil {
		t.Error(err)
	}
	exit, out, errs = w.run(t, "testnet", "compare", a, b, "--json")
	var got struct {
		Rows []struct {
			Name  string  `json:"name"`
			Ratio float64 `json:"ratio"`
		} `json:"rows"`
	}
	if err := json.Unmarshal([]byte(out), &got); exit != 0 || err != nil || len(got.Rows) < 5 {
		t.Errorf("exit %d, %q, %v; %s", exit, out, err, errs)
	}
}

func TestTestnetReportRefuses(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		args []string
		exit int
		want string
	}{
		{[]string{"report"}, 2, "DIR is missing"},
		{[]string{"report", t.TempDir()}, 2, "testnet run"},
		{[]string{"report", record(t, aRecord+"nonsense\n")}, 2, "line 7"},
		{[]string{"report", record(t, "")}, 2, "nothing is in it"},
		{[]string{"report", record(t, aRecord), "-o", t.TempDir()}, 2, "no file that a page could replace"},
		{[]string{"report", record(t, aRecord), "-o", filepath.Join(t.TempDir(), "no", "page.html")}, 6, "another place with -o"},
		{[]string{"compare", record(t, aRecord)}, 2, "B is missing"},
	} {
		exit, _, errs := w.run(t, append([]string{"testnet"}, c.args...)...)
		if exit != c.exit || !strings.Contains(errs, c.want) {
			t.Errorf("%q: exit %d, %q, want %d and %q", c.args, exit, errs, c.exit, c.want)
		}
	}
}
