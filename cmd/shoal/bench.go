package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
	"github.com/shoal-p2p/shoal/testnet"
)

// benchSize is large enough for figures that repeat, and small enough for half a minute.
const benchSize = 256 << 20 // bytes

func (a *app) benchCommand() *cobra.Command {
	b := testnet.Bench{Size: benchSize}
	var to, dir string
	var get bool
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what this machine, or the path to a peer, gives",
		Long: `Measures, on this machine alone: SHA-256 on all cores; writing a file and reading it again; one bare libp2p stream between two nodes,
which are processes with homes of their own on loopback; and a whole get of that file from one by the other. Each is put beside the
one below it, on which it rests. It takes half a minute at most, needs twice --size (and 64 MiB) on the disk of --dir, and leaves nothing there;
if it is killed, 'shoal testnet clean' ends its nodes and removes their files, unless they lie in a --dir.

With --peer it measures the path to another node: how it is reached, the round trip, what one bare stream carries each way
(at most 128 MiB and 2 seconds each), and what would hold up a get. If --peer is a ticket, --get also fetches what it
names to a folder below --dir, for half a minute at most, and removes it again.`,
		Example: "  shoal bench\n  shoal bench --size 1G --dir /mnt/disk\n  shoal bench --peer shoal1… --get\n  shoal bench --peer @ticket.txt",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if dir, err = a.benchDir(dir); err != nil {
				return err
			}
			switch {
			case to != "" && a.explicit("size"):
				return usage("--size is for a bench of this machine alone: with --peer, what is measured has its own limits")
			case to != "":
				return a.benchPeer(cmd.Context(), to, get, dir)
			case get:
				return usage("--get needs --peer TICKET: it fetches what the ticket names")
			}
			return a.bench(cmd.Context(), b, dir)
		},
	}
	f := cmd.Flags()
	f.StringVar(&to, "peer", "", "a ticket, a multiaddr with /p2p/, or the ID of a peer that 'shoal nearby' lists; - and @FILE as elsewhere")
	f.BoolVar(&get, "get", false, "with --peer TICKET: fetch what it names, and throw it away")
	f.Var((*sizeFlag)(&b.Size), "size", "bytes of the file that is written, hashed and fetched")
	f.StringVar(&dir, "dir", "", "where files lie meanwhile (default the home of this program; with --peer beside that)")
	f.Lookup("size").DefValue = "256M"
	return cmd
}

// benchDir is the folder in which a bench makes its own; empty where the user leaves that to the program.
func (a *app) benchDir(typed string) (string, error) {
	if typed == "" {
		return "", a.locate()
	}
	dir, err := filepath.Abs(typed)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", &advised{usage("there is no folder %s", dir), "make it first, or choose another with --dir"}
	}
	return dir, nil
}

// bench measures this machine.
func (a *app) bench(ctx context.Context, b testnet.Bench, dir string) (err error) {
	if b.Size < testnet.MinBench || b.Size > testnet.MaxBench {
		return usage("--size must be from %s to %s", size(testnet.MinBench), size(testnet.MaxBench))
	}
	if b.Shoal, err = os.Executable(); err != nil {
		return err
	}
	b.Dir = filepath.Join(dir, fmt.Sprintf("shoal-bench-%d", os.Getpid()))
	if dir == "" {
		if b.Dir, err = a.testnetDir(fmt.Sprintf("bench-%d", os.Getpid())); err != nil {
			return err
		}
		_, missing := os.Stat(a.home)
		defer func() {
			if root := filepath.Dir(b.Dir); os.Remove(root) == nil && errors.Is(missing, os.ErrNotExist) { // nothing else was in it
				_ = os.Remove(a.home)
			}
		}()
	}
	a.remark("this takes up to half a minute, and up to %s in %s for that time", size(b.Room()), filepath.Dir(b.Dir))
	tell := a.progress("starting")
	defer tell.stop()
	out, err := b.Run(ctx, func(doing string) { tell.event(node.Event{Kind: "starting", Message: doing}) })
	tell.stop()
	switch {
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.ENOSPC), errors.Is(err, node.ErrDisk):
		return &advised{fmt.Errorf("%w: %w", node.ErrDisk, err), "make room, use a smaller --size, or choose another place with --dir"}
	case err != nil:
		return fromTestnet(err)
	case a.json:
		return printJSON(a.out, out)
	}
	_, err = fmt.Fprint(a.out, benchText(out))
	return err
}

func benchText(b testnet.Benched) string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for i, f := range b.Figures {
		below := ""
		if f.Ratio > 0 {
			below = fmt.Sprintf("%.2f of %s", f.Ratio, b.Figures[i+1].Name)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", f.Name, rate(f.Rate), below, f.Note)
	}
	_ = w.Flush() // a strings.Builder takes everything
	if b.Bottleneck == "" {
		fmt.Fprintf(&out, "\nA get of %s was faster than what it rests on: other work had this machine meanwhile. Measure again when it is idle.\n", size(b.Size))
		return out.String()
	}
	fmt.Fprintf(&out, "\nA get of %s reaches %.2f of what holds it up here: %s.\n", size(b.Size), b.Reached, b.Bottleneck)
	return out.String()
}

// peerBench is what --json prints of the path to a peer.
type peerBench struct {
	Path *node.Path `json:"path"`
	Get  *peerGet   `json:"get,omitempty"`
}

// benchPeer measures the path to another node.
func (a *app) benchPeer(ctx context.Context, to string, get bool, dir string) error {
	if to == "-" || strings.HasPrefix(to, "@") {
		ref, err := a.ref(to)
		if err != nil {
			return err
		}
		to = ref.text
	}
	return a.with(ctx, func(ctx context.Context, s *session) error {
		d, err := s.Doctor(ctx, node.DoctorRequest{Ref: to, Only: true}, s.tell.event)
		if err != nil {
			return err
		}
		out := peerBench{Path: d.Path}
		if get && d.Path != nil && d.Path.Error == "" {
			beside := filepath.Dir(a.home) // a node fetches nothing into its home
			if out.Get, err = fetchForBench(ctx, s, to, cmp.Or(dir, beside)); err != nil {
				return err
			}
			out.Get.compare(*d.Path)
		}
		s.tell.stop()
		if a.json {
			err = printJSON(a.out, out)
		} else {
			_, err = fmt.Fprint(a.out, out.text())
		}
		if err == nil && !d.OK {
			return &quiet{errUnwell} // everything has been said
		}
		return err
	})
}

func (b peerBench) text() string {
	var out strings.Builder
	if b.Path != nil {
		pathText(*b.Path, func(mark, name, text string) {
			fmt.Fprintf(&out, "%-4s  %-12s  %s\n", mark, content.Printable(name), content.Printable(text))
		})
	}
	if g := b.Get; g != nil {
		how := "all of it"
		if !g.Whole {
			how = "so far, when time was up"
		}
		fmt.Fprintf(&out, "%-4s  %-12s  %s, %s: %.2f of the raw stream\n", "ok", "whole get", took(g.Bytes, g.Seconds), how, g.Ratio)
	}
	return out.String()
}
