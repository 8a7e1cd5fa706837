//go:build linux

// Command swarm measures what docs/benchmarks.md reports of many peers on one download: built shoal processes, each in a
// network namespace of its own, behind links that the kernel shapes. Beside every figure stands the least time that the links'
// raw rates allow, what a bare TCP stream made of the same links in the same run, and how much of the processor was left over:
// where none was, the figure says nothing about scheduling.
//
// It needs root, `ip` and `tc`. Everything that it makes (namespaces, processes, files on a tmpfs) belongs to namespaces that
// go with its inner process, however that ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	b := &bench{}
	var a actor
	flag.StringVar(&b.shoal, "shoal", "bin/shoal", "the program to measure")
	flag.IntVar(&b.runs, "runs", 1, "runs of each figure; the median counts")
	flag.Int64Var(&b.size, "size", 0, "MiB of the file, instead of what each figure prescribes: to see that it works, not to report")
	flag.BoolVar(&b.pex, "pex", false, "no mDNS: each receiver is told of the seeder only, and has to hear of the others from it")
	flag.BoolVar(&b.keep, "logs", false, "print what the nodes logged when a figure fails")
	limit := flag.Duration("limit", 25*time.Minute, "end everything after this long")
	only := flag.String("only", "", "comma separated names of figures: "+strings.Join(names(), ", "))
	a.flags()
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if a.act != "" {
		end(a.run(ctx))
	}
	inside, err := apart(ctx)
	if err == nil && inside {
		var cancel func()
		ctx, cancel = context.WithTimeoutCause(ctx, *limit, fmt.Errorf("not done after %v (-limit)", *limit))
		defer cancel()
		err = b.run(ctx, *only)
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause // what broke after that broke because of it
		}
	}
	end(err)
}

// end ends the process.
func end(err error) {
	var inner *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case !errors.As(err, &inner): // the inner process has said it already
		fmt.Fprintln(os.Stderr, "swarm:", err)
	}
	os.Exit(1)
}

// bench is one run of the program: its settings, and the folder that everything it makes lies in.
type bench struct {
	shoal string
	runs  int
	size  int64 // MiB; 0: as each figure prescribes
	pex   bool
	keep  bool
	work  string // on a tmpfs that goes with the process
	rows  []row
}

// row is one line of the table.
type row struct {
	work, measured, bound, ratio, reach string
	holds                               bool
	around                              around
}

// around is what else a reader needs to judge a figure.
type around struct {
	bare float64 // what a bare TCP stream had of the links' raw rate
	cpu  usage
}

// worse joins what was around several runs: a reader needs to know of the worst.
func (a around) worse(b around) around {
	if a == (around{}) {
		return b
	}
	a.bare = min(a.bare, b.bare)
	if b.cpu.idle < a.cpu.idle {
		a.cpu = b.cpu
	}
	return a
}

func (a around) String() string {
	if a == (around{}) {
		return " | "
	}
	return fmt.Sprintf("%.3f | %.0f %% (ours %.0f %%)", a.bare, a.cpu.idle*100, a.cpu.ours*100)
}

type figure struct {
	name string
	run  func(*bench, context.Context) error
}

func figures() []figure {
	return []figure{
		{"swarm", (*bench).swarm64},
		{"big", (*bench).swarm256},
		{"sources", (*bench).sources},
		{"hostile", (*bench).hostile},
		{"both", (*bench).both},
		{"far", (*bench).far},
		{"churn", (*bench).churn},
		{"idle", (*bench).idle},
		{"first", (*bench).first},
	}
}

func names() []string {
	var all []string
	for _, f := range figures() {
		all = append(all, f.name)
	}
	return all
}

func (b *bench) run(ctx context.Context, only string) error {
	if b.runs < 1 || b.size < 0 {
		return errors.New("-runs must be at least 1, and -size not negative")
	}
	chosen := figures()
	if only != "" {
		list := strings.Split(only, ",")
		for _, name := range list {
			if !slices.Contains(names(), name) {
				return fmt.Errorf("no figure is named %q", name)
			}
		}
		chosen = slices.DeleteFunc(chosen, func(f figure) bool { return !slices.Contains(list, f.name) })
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	var failed error
	for _, f := range chosen {
		fmt.Printf("\n== %s\n", f.name)
		if err := f.run(b, ctx); err != nil {
			if ctx.Err() != nil {
				return err
			}
			fmt.Printf("%s: FAILED: %v\n", f.name, err)
			failed = errors.Join(failed, fmt.Errorf("%s: %w", f.name, err))
		}
	}
	b.print()
	return failed
}

// prepare puts a copy of the program where nobody replaces it meanwhile, and prints what a reader needs to judge the figures.
func (b *bench) prepare(ctx context.Context) error {
	b.work = tmpfs
	program, err := os.ReadFile(b.shoal)
	if err != nil {
		return fmt.Errorf("%w (run make build)", err)
	}
	b.shoal = filepath.Join(b.work, "shoal")
	if err := os.WriteFile(b.shoal, program, 0o700); err != nil {
		return err
	}
	version, err := exec.CommandContext(ctx, b.shoal, "version").Output()
	if err != nil {
		return fmt.Errorf("shoal version: %w", err)
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err
	}
	fmt.Printf("%s\n%d cores, Linux %s, %s, files on tmpfs, runs of each figure: %d", strings.TrimSpace(string(version)),
		runtime.NumCPU(), strings.TrimSpace(string(kernel)), runtime.Version(), b.runs)
	if b.size > 0 {
		fmt.Printf(", files of %d MiB: do not report", b.size)
	}
	fmt.Println()
	return nil
}

func (b *bench) add(r row) { b.rows = append(b.rows, r) }

// print writes the table in Markdown.
func (b *bench) print() {
	fmt.Printf("\n| work | measured (median) | bound | ratio | reach | | bare TCP stream / link | CPU idle |\n" +
		"|---|---|---|---|---|---|---|---|\n")
	for _, r := range b.rows {
		mark := "yes"
		if !r.holds {
			mark = "NO"
		}
		fmt.Printf("| %s | %s | %s | %s | %s | %s | %s |\n", r.work, r.measured, r.bound, r.ratio, r.reach, mark, r.around)
	}
}
