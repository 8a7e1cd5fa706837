package report

import (
	_ "embed"
	"html/template"
	"io"
)

//go:embed page.html
var pageText string

var pages = template.Must(template.New("page").Parse(pageText))

// page is what the template is given. Its fields are what both kinds of page have.
type page struct {
	Title     string
	Sentences []sentence
	Remarks   []string

	Completion []figure
	Throughput figure
	Duplicates figure
	Lookups    []figure
	Resources  []figure

	One *single // a page about one run
	Two *double // a page about two
}

// sentence is what happened in a run.
type sentence struct {
	Name string // of the run, if there are two
	Text string
	Bad  bool // something that was expected does not hold
}

// single is what only a page about one run has.
type single struct {
	Summary   Summary
	Verdicts  []verdict
	Feeding   feeding
	Happened  []happening
	MoreEvent int
	Nodes     []nodeRow
	MoreNodes int
}

// double is what only a page about two runs has.
type double struct {
	A, B string
	Rows []Row
}

// WritePage writes the page about the run.
func (r *Run) WritePage(w io.Writer) error {
	p := page{Title: r.scenario, Remarks: r.remarks, One: &single{Summary: r.Summary(), Verdicts: r.verdicts()}}
	if p.Title == "" {
		p.Title = "A run"
	}
	p.Sentences = []sentence{r.sentence("")}
	p.One.Happened, p.One.MoreEvent = r.happenings()
	p.One.Nodes, p.One.MoreNodes = r.table()
	var err error
	if p.One.Feeding, err = r.feeding(); err != nil {
		return err
	}
	if err := p.plot(cast{runs: []*Run{r}}); err != nil {
		return err
	}
	return pages.Execute(w, p)
}

// WriteComparison writes a page about two runs, which are called by the names given.
func WriteComparison(w io.Writer, a, b *Run, nameA, nameB string) error {
	nameA, nameB = clean(nameA), clean(nameB)
	p := page{
		Title:     nameA + " and " + nameB,
		Sentences: []sentence{a.sentence(nameA), b.sentence(nameB)},
		Two:       &double{nameA, nameB, Compare(a.Summary(), b.Summary())},
	}
	for _, remark := range a.remarks {
		p.Remarks = append(p.Remarks, nameA+": "+remark)
	}
	for _, remark := range b.remarks {
		p.Remarks = append(p.Remarks, nameB+": "+remark)
	}
	if err := p.plot(cast{[]*Run{a, b}, []string{nameA, nameB}}); err != nil {
		return err
	}
	return pages.Execute(w, p)
}

func (r *Run) sentence(name string) sentence {
	s := r.Summary()
	return sentence{name, s.Sentence(), s.Held < s.Expected || s.Corrupt > 0}
}

// plot draws what both kinds of page show.
func (p *page) plot(c cast) (err error) {
	if p.Completion, err = c.completion(); err != nil {
		return err
	}
	if p.Throughput, err = c.throughput(); err != nil {
		return err
	}
	if p.Duplicates, err = c.duplicates(); err != nil {
		return err
	}
	if p.Lookups, err = c.searches(); err != nil {
		return err
	}
	p.Resources, err = c.resources()
	return err
}
