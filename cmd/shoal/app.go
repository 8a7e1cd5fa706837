package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8/cwriter"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

// app is one run of the program, and everything of the world that it touches.
type app struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
	open     func(context.Context, node.Config) (ownNode, error)
	signals  <-chan os.Signal
	exit     func(int)

	home         string // absolute, once locate has run
	typed        settings
	json         bool
	verbose      bool
	bootstrapper bool                   // serve: begin a DHT for others
	explicit     func(flag string) bool // reports whether a flag was typed

	verb    string // that was typed
	started bool   // the command line was understood
}

// How long a request to end may take before it is no longer asked.
const graceful = 5 * time.Second

// execute runs one command line and returns the exit code.
func (a *app) execute(args []string) int {
	root := a.root()
	root.SetArgs(args)
	ctx, stop := a.interruptible()
	defer stop()
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !a.started {
		a.verb, a.json = verbOf(cmd), a.json || slices.Contains(args, "--json")
		err = misread(err)
	}
	return a.report(ctx, err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "shoal",
		Short: "Share files across a network, without a server",
		Long: `Shoal shares files where they lie and fetches them by content ID, from everyone who has them, verified bit by bit.

On one machine:      shoal share FILE
On another:          shoal get CID

Both find each other on the local network by themselves. A ticket, which share prints as well, also says where to ask.
With 'shoal serve' running, all other commands use its node and return at once.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Version:           node.Version,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.prepare(cmd) },
	}
	root.SetVersionTemplate(versionText())
	root.SetIn(a.in)
	root.SetOut(redacting{a.out})
	root.SetErr(redacting{a.err})
	flags := root.PersistentFlags()
	flags.StringVar(&a.home, "home", "", "where the node keeps its identity and its index (or SHOAL_HOME)")
	a.typed.flags(flags)
	flags.BoolVar(&a.json, "json", false, "print JSON on standard output, one object a line; an error is the last one (with cat: on standard error)")
	flags.BoolVar(&a.verbose, "verbose", false, "log what the node does on standard error")
	root.AddCommand(
		a.shareCommand(), a.getCommand(), a.catCommand(), a.lsCommand(), a.findCommand(), a.ticketCommand(), a.inspectCommand(),
		a.serveCommand(), a.sharesCommand(), a.unshareCommand(), a.unlistCommand(), a.nearbyCommand(),
		a.peersCommand(), a.statusCommand(), a.checkCommand(), a.doctorCommand(),
		a.benchCommand(), a.testnetCommand(), a.idCommand(), a.versionCommand(), exitCodesTopic(),
		a.keepCommand(), a.enterCommand(), a.intoCommand(), a.impostorCommand(),
	)
	a.addCompletion(root)
	return root
}

// prepare checks the global flags before a verb runs.
func (a *app) prepare(cmd *cobra.Command) error {
	if n := a.typed.Network; n != "" && !n.Known() {
		return fmt.Errorf("--network %q is none of isolated, lan, public", n)
	}
	a.verb, a.started, a.explicit = verbOf(cmd), true, cmd.Flags().Changed
	return nil
}

// verbOf is what was typed: "get", or "testnet up".
func verbOf(cmd *cobra.Command) string { return strings.TrimPrefix(cmd.CommandPath(), "shoal ") }

// locate decides which home it is.
func (a *app) locate() (err error) {
	if a.home == "" {
		a.home = a.getenv("SHOAL_HOME")
	}
	if a.home == "" {
		if a.home, err = defaultHome(a.getenv); err != nil {
			return err
		}
	}
	a.home, err = filepath.Abs(a.home)
	return err
}

// interruption is why the context of a command ended.
type interruption struct{ signal os.Signal }

func (i interruption) Error() string { return "interrupted" }
func (interruption) Unwrap() error   { return node.ErrStopped }

// interruptible returns the context of a command. The first signal ends it; the second ends the process at once, and so does
// time.
func (a *app) interruptible() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-a.signals:
			cancel(interruption{s})
		case <-quit:
			return
		}
		slow, late := time.NewTimer(time.Second), time.NewTimer(graceful)
		defer slow.Stop()
		defer late.Stop()
		for {
			select {
			case <-slow.C:
				a.remark("still putting things in order; ^C again ends at once")
			case <-late.C:
				a.remark("this takes too long: ended without putting things in order")
				a.exit(exitInterrupted)
				return
			case <-a.signals:
				a.exit(exitInterrupted)
				return
			case <-quit:
				return
			}
		}
	}()
	return ctx, func() { close(quit); <-done; cancel(nil) }
}

// interrupted tells whether a command's context was ended by a signal.
func interrupted(ctx context.Context) bool {
	var i interruption
	return errors.As(context.Cause(ctx), &i)
}

// remark prints a line for the user that is no part of the output. A ticket never is in one: whatever is quoted, standard error
// ends up in logs.
func (a *app) remark(format string, args ...any) {
	fmt.Fprintln(a.err, content.Printable(node.Redact(fmt.Sprintf(format, args...))))
}

// log is where the node writes what it does.
func (a *app) log() *slog.Logger {
	if !a.verbose {
		return nil
	}
	return slog.New(slog.NewTextHandler(redacting{a.err}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// redacting takes tickets out of the lines of a log.
type redacting struct{ w io.Writer }

func (r redacting) Write(line []byte) (int, error) {
	if _, err := io.WriteString(r.w, node.Redact(string(line))); err != nil {
		return 0, err
	}
	return len(line), nil
}

// onTerminal tells whether a stream is a terminal that understands more than lines.
func (a *app) onTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && a.getenv("TERM") != "dumb" && cwriter.IsTerminal(int(f.Fd()))
}

// terminalSize is how much a terminal shows; a usual size where that is not known.
func terminalSize(stream any) (columns, rows int) {
	if f, ok := stream.(*os.File); ok {
		if columns, rows, err := cwriter.GetSize(int(f.Fd())); err == nil && columns > 0 && rows > 0 {
			return columns, rows
		}
	}
	return 80, 24
}

// exactly is cobra.ExactArgs with a message that names what is missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return fmt.Errorf("%s is missing", names[len(args)])
		}
		if len(args) > len(names) {
			return fmt.Errorf("%q is one argument too many", args[len(names)])
		}
		return nil
	}
}
