//go:build linux

// Command bench measures what docs/benchmarks.md reports: built shoal processes on loopback, beside what the same machine
// does at best (SHA-256 on all cores, a bare libp2p stream) and what people use today (rsync over ssh). Every figure that is
// a ratio takes turns with its yardstick in one run; first runs, which touch fresh memory, are thrown away.
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
)

func main() {
	b := &bench{}
	flag.BoolVar(&b.quick, "quick", false, "small inputs and few runs: to see that it works, not to report")
	flag.IntVar(&b.runs, "runs", 0, "runs of each figure (default 5, quick 2)")
	flag.StringVar(&b.dir, "dir", "/dev/shm", "where the files lie; tmpfs, so that no disk is measured")
	flag.StringVar(&b.disk, "disk", os.TempDir(), "where the 10 GiB of the memory figure go if they do not fit into -dir")
	flag.StringVar(&b.shoal, "shoal", "bin/shoal", "the program to measure")
	only := flag.String("only", "", "comma separated names of figures: "+strings.Join(names(), ", "))
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run of the program: its settings, and the folder that everything it makes lies in.
type bench struct {
	quick      bool
	runs       int
	dir, disk  string
	shoal      string
	work       string // in dir, removed at the end
	bareStream string // test binary of the node package
	own        bool   // in a network namespace of its own, where lan mode reaches nobody
	rows       []row
}

// row is one line of the table.
type row struct {
	work, measured, yardstick, ratio, reach string
	holds                                   bool
}

type figure struct {
	name string
	run  func(*bench, context.Context) error
}

func figures() []figure {
	return []figure{
		{"share", (*bench).share},
		{"get", (*bench).get},
		{"tree", (*bench).tree},
		{"cold", (*bench).cold},
		{"idle", (*bench).idle},
		{"memory", (*bench).memory},
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
	if b.runs == 0 {
		b.runs = 5
		if b.quick {
			b.runs = 2
		}
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
	var err error
	if b.shoal, err = filepath.Abs(b.shoal); err != nil {
		return err
	}
	if _, err := os.Stat(b.shoal); err != nil {
		return fmt.Errorf("%w (run make build)", err)
	}
	if b.own, err = ownNetwork(); err != nil {
		return err
	}
	if b.work, err = os.MkdirTemp(b.dir, "shoal-bench."); err != nil {
		return err
	}
	defer os.RemoveAll(b.work)
	if err := b.describe(ctx); err != nil {
		return err
	}
	for _, f := range chosen {
		fmt.Printf("\n== %s\n", f.name)
		if err := f.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	b.print()
	return nil
}

// describe prints what a reader needs to judge the figures.
func (b *bench) describe(ctx context.Context) error {
	version, err := exec.CommandContext(ctx, b.shoal, "version").Output()
	if err != nil {
		return fmt.Errorf("shoal version: %w", err)
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err
	}
	fmt.Printf("%s\n%d cores, Linux %s, %s, files in %s, %d runs", strings.TrimSpace(string(version)), runtime.NumCPU(),
		strings.TrimSpace(string(kernel)), runtime.Version(), b.dir, b.runs)
	if b.quick {
		fmt.Print(", QUICK: small inputs, do not report")
	}
	fmt.Println()
	return nil
}

func (b *bench) add(r row) { b.rows = append(b.rows, r) }

// print writes the table in Markdown.
func (b *bench) print() {
	fmt.Printf("\n| work | shoal (median) | yardstick (median) | ratio | reach | |\n|---|---|---|---|---|---|\n")
	for _, r := range b.rows {
		mark := "yes"
		if !r.holds {
			mark = "NO"
		}
		fmt.Printf("| %s | %s | %s | %s | %s | %s |\n", r.work, r.measured, r.yardstick, r.ratio, r.reach, mark)
	}
}

// ownNetwork moves the program into a network namespace with a loopback and one interface that leads nowhere, if it runs as
// root: mDNS then works as on a LAN and reaches nobody. It reports whether the program is in one.
func ownNetwork() (bool, error) {
	const mark = "SHOAL_BENCH_NETWORK"
	if os.Getenv(mark) != "" {
		return true, os.Unsetenv(mark)
	}
	unshare, err := exec.LookPath("unshare")
	_, noIP := exec.LookPath("ip")
	if os.Getuid() != 0 || errors.Join(err, noIP) != nil {
		return false, nil
	}
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	const setup = `ip link set lo up && ip link add nowhere type veth peer name end && ip link set end up && ` +
		`ip addr add 10.77.0.1/24 dev nowhere && ip link set nowhere up && exec "$0" "$@"`
	args := append([]string{unshare, "--net", "sh", "-c", setup, self}, os.Args[1:]...)
	return false, syscall.Exec(unshare, args, append(os.Environ(), mark+"=1"))
}
