package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
	"github.com/shoal-p2p/shoal/testnet"
)

// errUnmet is the end of a run that did not do what its scenario expects.
var errUnmet = errors.New("an expectation does not hold")

// playing is a scenario that is to be played, and where.
type playing struct{ ground, output string }

func (a *app) testnetRunCommand() *cobra.Command {
	var p playing
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Play a scenario: links, faults, expectations",
		Long: `Puts up a network as a scenario describes it, plays it, judges what is expected, and takes the network down again. FILE is a YAML file, or
the name of a scenario that comes with shoal ('shoal testnet scenarios' lists them).

The exit code is 0 if all expectations hold, and 10 if one does not. What happened is recorded in a folder, of which 'shoal testnet report'
makes a page.`,
		Example: "  shoal testnet run lan-party\n  sudo shoal testnet run one-to-many -o runs/one\n  shoal testnet run my.yaml --json",
		Args:    exactly("FILE"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.runScenario(cmd.Context(), args[0], p) },
	}
	f := cmd.Flags()
	f.StringVar(&p.ground, "on", "", "processes on loopback, namespaces (Linux, root), containers (docker), or simulated: models of nodes in virtual time (default processes, and namespaces if the scenario has links, NATs or partitions)")
	f.StringVarP(&p.output, "output", "o", "", "the folder to make for the record (default one in this folder, named after scenario and time)")
	return cmd
}

func (a *app) testnetScenariosCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "scenarios [NAME]",
		Short:             "List the scenarios that come with shoal, or print one",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(testnet.ReadyScenarios(), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.printScenario(args[0])
			}
			return a.listScenarios()
		},
	}
}

func (a *app) printScenario(name string) error {
	text, known := testnet.ReadyScenario(name)
	if !known {
		return &advised{usage("no scenario %q comes with shoal", name), "'shoal testnet scenarios' lists those that do"}
	}
	if a.json {
		return printJSON(a.out, map[string]string{"name": name, "text": string(text)})
	}
	_, err := a.out.Write(text)
	return err
}

func (a *app) listScenarios() error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, name := range testnet.ReadyScenarios() {
		sc, err := a.scenario(name)
		if err != nil {
			return err
		}
		if !a.json {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", name, count(len(sc.Nodes), "node", "nodes"), sc.Ground(), sc.About)
			continue
		}
		if err := printJSON(a.out, map[string]any{"name": name, "about": sc.About, "nodes": len(sc.Nodes), "ground": sc.Ground()}); err != nil {
			return err
		}
	}
	return w.Flush()
}

// scenario reads a file, or what comes with shoal under that name.
func (a *app) scenario(name string) (*testnet.Scenario, error) {
	text, known := testnet.ReadyScenario(name)
	if _, err := os.Stat(name); err != nil && known {
		sc, err := testnet.ParseScenario(text)
		return sc, a.mistakes(name, err)
	}
	sc, err := testnet.ReadScenario(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &advised{usage("there is no file %s, and no scenario of that name comes with shoal", name), "'shoal testnet scenarios' lists those that do"}
	}
	if errors.As(err, new(*os.PathError)) {
		return nil, &advised{usage("%v", err), "a scenario is a file of text; 'shoal testnet scenarios' lists some that come with shoal"}
	}
	return sc, a.mistakes(name, err)
}

// mistakes lists what is wrong with a scenario, a line each.
func (a *app) mistakes(file string, err error) error {
	var wrong *testnet.ScenarioError
	if err == nil || !errors.As(err, &wrong) {
		return err
	}
	var lines []string
	for _, f := range wrong.Faults {
		lines = append(lines, fmt.Sprintf("%s: %s", file, f))
	}
	if a.json {
		return &advised{usage("%s", strings.Join(lines, "; ")), scenarioHint}
	}
	for _, l := range lines {
		a.remark("shoal: %s", l)
	}
	a.remark("%s", scenarioHint)
	return &quiet{usage("%s", lines[0])}
}

const scenarioHint = "docs/testnet.md describes scenarios; 'shoal testnet scenarios one-to-many' prints one to begin with"

func (a *app) runScenario(ctx context.Context, file string, p playing) error {
	sc, err := a.scenario(file)
	if err != nil {
		return err
	}
	st, err := a.stage(sc, p)
	if err != nil {
		return err
	}
	if err := sc.Suits(st.Ground); err != nil {
		return a.mistakes(file, err)
	}
	if !a.json {
		fmt.Fprintf(a.out, "%s: %s\n%s as %s, recorded in %s\n", sc.Name, content.Printable(sc.About), count(len(sc.Nodes), "node", "nodes"), st.Ground, content.Printable(st.Dir))
	}
	tell := a.runTeller(sc)
	verdicts, err := testnet.Play(ctx, sc, st, tell.hear)
	tell.stop()
	_ = os.Remove(filepath.Dir(st.Net)) // unless there are other networks
	if err != nil {
		return fromPlay(err)
	}
	return a.printVerdicts(st.Dir, verdicts)
}

// stage decides where a scenario is played and recorded.
func (a *app) stage(sc *testnet.Scenario, p playing) (testnet.Stage, error) {
	st := testnet.Stage{Ground: p.ground}
	switch p.ground {
	case "":
		st.Ground = sc.Ground()
	case testnet.Processes, testnet.Namespaces, testnet.Containers, testnet.Simulated:
	default:
		return st, usage("--on %q is none of processes, namespaces, containers, simulated", p.ground)
	}
	var err error
	if st.Shoal, err = os.Executable(); err != nil {
		return st, fmt.Errorf("find this program: %w", err)
	}
	if st.Dir = p.output; st.Dir == "" {
		st.Dir = fmt.Sprintf("%s-%s", sc.Name, time.Now().Format("20060102-150405"))
	}
	if st.Dir, err = filepath.Abs(st.Dir); err != nil {
		return st, fmt.Errorf("%w: %w", node.ErrDisk, err)
	}
	if _, err := os.Lstat(st.Dir); err == nil {
		return st, &advised{fmt.Errorf("%w: %s", node.ErrExists, st.Dir), "choose another folder with -o"}
	}
	st.Net, err = a.testnetDir(fmt.Sprintf("run-%d", os.Getpid()))
	return st, err
}

// fromPlay gives an error of a run its way to end.
func fromPlay(err error) error {
	switch {
	case errors.Is(err, testnet.ErrRequest), errors.Is(err, testnet.ErrGround):
		return &said{node.ErrUsage, plainly(err)}
	case errors.As(err, new(*os.PathError)):
		return fmt.Errorf("%w: %w", node.ErrDisk, err)
	}
	return err
}

// printVerdicts ends a run.
func (a *app) printVerdicts(dir string, verdicts []testnet.Event) error {
	failed := 0
	for _, v := range verdicts {
		if !v.OK {
			failed++
		}
	}
	var end error
	if failed > 0 {
		end = fmt.Errorf("%w: %d of %d", errUnmet, failed, len(verdicts))
	}
	if a.json {
		out := []map[string]any{}
		for _, v := range verdicts {
			out = append(out, map[string]any{"expect": v.Name, "want": v.Want, "got": v.Got, "ok": v.OK})
		}
		if err := printJSON(a.out, map[string]any{"ok": failed == 0, "dir": dir, "expectations": out}); err != nil {
			return err
		}
		return end
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "EXPECTED\tWANT\tGOT\t")
	for _, v := range verdicts {
		ok := "ok"
		if !v.OK {
			ok = "FAILED"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", v.Name, v.Want, content.Printable(v.Got), ok)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return end
}

// runTeller tells how far a run is.
type runTeller struct {
	*progress
	copies, done map[string]int // by content
	nodes, up    int
	begun        bool
}

func (a *app) runTeller(sc *testnet.Scenario) *runTeller {
	t := &runTeller{progress: a.progress("putting up the network"), copies: map[string]int{}, done: map[string]int{}, nodes: len(sc.Nodes)}
	for _, c := range sc.Content {
		t.copies[c.Name] = len(sc.Fetchers(c.Name))
	}
	return t
}

// hear takes note of what happens, and says what changes the picture.
func (t *runTeller) hear(e testnet.Event) {
	switch e.Kind {
	case "node":
		t.up++
		t.event(node.Event{Kind: "starting", Message: fmt.Sprintf("%d of %d nodes run", t.up, t.nodes)})
		return
	case "down":
		t.note(e, "%s %s", e.Node, e.Reason)
	case "up":
		if !t.begun {
			return
		}
		t.note(e, "%s runs again", e.Node)
	case "cut":
		if len(e.Sides) == 0 {
			t.note(e, "all reach each other again")
		} else {
			t.note(e, "cut into %d sides", len(e.Sides))
		}
	case "link":
		t.note(e, "the link of %s changes", e.Node)
	case "share":
		t.begun = true
	case "done":
		t.done[e.Content]++
	case "sample":
	default:
		return
	}
	if t.begun {
		t.event(node.Event{Kind: "starting", Message: t.picture(e.T)})
	}
}

func (t *runTeller) note(e testnet.Event, format string, args ...any) {
	t.event(node.Event{Kind: "note", Message: fmt.Sprintf("%5.1f s: %s", e.T, fmt.Sprintf(format, args...))})
}

func (t *runTeller) picture(at float64) string {
	var parts []string
	for name, all := range t.copies {
		parts = append(parts, fmt.Sprintf("%d of %d have %s", t.done[name], all, name))
	}
	slices.Sort(parts)
	return fmt.Sprintf("%3.0f s: %s", at, strings.Join(parts, ", "))
}
