package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
	"github.com/shoal-p2p/shoal/testnet/report"
)

func (a *app) testnetReportCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "report DIR",
		Short: "Make a page with plots from what a run recorded",
		Long: `Reads the events of a run (DIR/events.jsonl, or a file of events) and writes one HTML page: what happened in a sentence, expectations,
completion of each node beside the bound, throughput, who fed whom, duplicates, look-ups, memory and processor time of nodes.
The page needs no other file and no network. It replaces an older one.`,
		Example: "  shoal testnet report runs/flash-crowd\n  shoal testnet report runs/flash-crowd -o /tmp/page.html",
		Args:    exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			run, err := a.openRun(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			page, bytes, err := writePage(output, args[0], "report.html", run.WritePage)
			if err != nil {
				return err
			}
			s := run.Summary()
			if a.json {
				return printJSON(a.out, map[string]any{"page": page, "sentence": s.Sentence(), "summary": s})
			}
			_, err = fmt.Fprintf(a.out, "%s\n%s (%s)\n", s.Sentence(), content.Printable(page), size(bytes))
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "the page to write (default DIR/report.html)")
	return cmd
}

func (a *app) testnetCompareCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "Compare two runs: a table here, and a page with both sets of curves",
		Long: `Reads the events of two runs, prints the figures of both and their ratio (the second by the first), and writes an HTML page with that
table and the curves of both, from the first fetch of each on. The page needs no other file and no network, and replaces an older one.`,
		Example: "  shoal testnet compare runs/before runs/after",
		Args:    exactly("A", "B"),
		RunE: func(cmd *cobra.Command, args []string) error {
			first, err := a.openRun(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			second, err := a.openRun(cmd.Context(), args[1])
			if err != nil {
				return err
			}
			page, _, err := writePage(output, args[1], "compare.html", func(w io.Writer) error {
				return report.WriteComparison(w, first, second, args[0], args[1])
			})
			if err != nil {
				return err
			}
			rows := report.Compare(first.Summary(), second.Summary())
			if a.json {
				return printJSON(a.out, map[string]any{"page": page, "a": first.Summary(), "b": second.Summary(), "rows": rows})
			}
			_, err = fmt.Fprintf(a.out, "%s%s\n", comparisonText(args[0], args[1], rows), content.Printable(page))
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "the page to write (default B/compare.html)")
	return cmd
}

// openRun reads the events of a run. What is wrong with them is for whoever named the folder to mend.
func (a *app) openRun(ctx context.Context, path string) (*report.Run, error) {
	tell := a.progress("reading the events of " + path)
	run, err := report.Open(ctx, path)
	tell.stop()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, &advised{usage("there is no record of a run: %s", err), "'shoal testnet run SCENARIO' writes one and says where"}
	case errors.Is(err, report.ErrEvents):
		return nil, &advised{usage("%s", err), "name the folder of a run, which has a file events.jsonl"}
	}
	return run, err
}

// writePage writes a page to where the user says, or beside the events of a run, and returns where that is.
func writePage(output, run, name string, write func(io.Writer) error) (path string, bytes int64, err error) {
	if path = output; path == "" {
		if info, err := os.Stat(run); err != nil || !info.IsDir() {
			run = filepath.Dir(run)
		}
		path = filepath.Join(run, name)
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", 0, err
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return "", 0, usage("%s is no file that a page could replace", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+name+"-*")
	if err != nil {
		return "", 0, &advised{fmt.Errorf("%w: %w", node.ErrDisk, err), "choose another place with -o"}
	}
	defer os.Remove(f.Name()) // unless it has its final name by then
	err = write(f)
	if info, statErr := f.Stat(); statErr == nil {
		bytes = info.Size()
	}
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return "", 0, &advised{fmt.Errorf("%w: %w", node.ErrDisk, err), "make room, or choose another place with -o"}
	}
	return path, bytes, nil
}

func comparisonText(a, b string, rows []report.Row) string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\t%s\t%s\tratio\n", content.Printable(a), content.Printable(b))
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Name, r.Text(r.A), r.Text(r.B), r.Times())
	}
	_ = w.Flush() // a strings.Builder takes everything
	return out.String()
}
