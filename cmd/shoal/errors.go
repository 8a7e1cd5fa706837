package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/gateway"
	"github.com/shoal-p2p/shoal/node"
)

const (
	exitOther       = 1
	exitInterrupted = 130
)

// outcome is one way to end. Its code stands in JSON errors and goes through the control socket.
type outcome struct {
	err  error
	code string
	exit int
	says string // in the table of exit codes
	hint string // the next step for the user
}

var (
	errNoNode = errors.New("no node is running")
	errPipe   = errors.New("the reader of the output left")
)

var outcomes = []outcome{
	{node.ErrUsage, "usage", 2, "the command makes no sense as it stands", "see 'shoal help'"},
	{
		node.ErrNotFound, "not_found", 3, "peers were asked, and none has it",
		"check the CID, and that whoever shared it is still running; a ticket says whom to ask",
	},
	{
		node.ErrBlocked, "no_direct_way", 4, "only a relay reaches a peer that has it, and lets too little through",
		"forward a port to one of the two (UPnP on its router does), or run 'shoal serve --network public --relay --relay-data 10G' " +
			"on a machine that both can reach and name it to both with --relay-peer",
	},
	{
		node.ErrNoPeer, "no_peer", 4, "no peer could be reached",
		"check that the other node is running and on this network, or use the ticket that its 'shoal share' printed",
	},
	{
		node.ErrVerify, "verify", 5, "content is not what its CID says (check: some of it)",
		"whoever made this CID has to share it again",
	},
	{
		node.ErrDisk, "disk", 6, "the disk is full, read-only, or fails",
		"make room or choose another place; the same command goes on where it stopped",
	},
	{
		node.ErrExists, "exists", 7, "the destination exists and holds something else",
		"choose another name with -o, or replace it with --force",
	},
	{
		node.ErrBusy, "busy", 8, "another process holds the home and does not answer",
		"wait for that process or end it, or use another home with --home",
	},
	{
		node.ErrExpired, "expired", 9, "the ticket has expired",
		"ask whoever made it for a new one ('shoal ticket CID' there), and look whether the clocks are right",
	},
	{
		errUnmet, "unmet", 10, "an expectation of 'testnet run' does not hold",
		"'shoal testnet report' on the folder of the run makes a page that shows what happened",
	},
	{node.ErrStopped, "interrupted", exitInterrupted, "interrupted (^C, SIGTERM); serve, share, seeding and watching end with 0 then", ""},
	{errPipe, "pipe", 141, "the reader of the output left", ""},
	{errNoNode, "no_node", exitOther, "anything else", "start one with 'shoal serve'"},
}

func outcomeOf(err error) outcome {
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return o
		}
	}
	return outcome{code: "internal", exit: exitOther}
}

// codeOf and fromCode carry an error through the control socket.
func codeOf(err error) string {
	if errors.Is(err, context.Canceled) {
		err = node.ErrStopped
	}
	return outcomeOf(err).code
}

func fromCode(err error) error {
	var remote *gateway.RemoteError
	if !errors.As(err, &remote) {
		return err
	}
	for _, o := range outcomes {
		if o.code == remote.Code {
			return &said{o.err, remote.Message}
		}
	}
	return err
}

// said is an error with a text that stands for itself.
type said struct {
	kind error
	text string
}

func (s *said) Error() string { return s.text }
func (s *said) Unwrap() error { return s.kind }

// usage is an error of whoever typed the command.
func usage(format string, args ...any) error {
	return &said{node.ErrUsage, fmt.Sprintf(format, args...)}
}

// misread is an error of cobra's, which says more than one line when it has a suggestion.
func misread(err error) error {
	text, suggestions, _ := strings.Cut(err.Error(), "\n")
	if _, first, ok := strings.Cut(suggestions, "\t"); ok {
		first, _, _ = strings.Cut(first, "\n")
		return &advised{usage("%s", text), fmt.Sprintf("did you mean 'shoal %s'?", first)}
	}
	return usage("%s", text)
}

// advised is an error with a better hint than its kind has.
type advised struct {
	error
	hint string
}

func (a *advised) Unwrap() error { return a.error }

// quiet is an error of which the output has told already.
type quiet struct{ error }

func (q *quiet) Unwrap() error { return q.error }

// failure is an error as --json prints it.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// report tells the user how the command ended, if not well, and returns the exit code.
func (a *app) report(ctx context.Context, err error) int {
	if err == nil {
		return 0
	}
	if errors.Is(err, errPipe) || errors.Is(err, syscall.EPIPE) {
		return outcomeOf(errPipe).exit // as quietly as cat and its kin
	}
	if interrupted(ctx) {
		err = context.Cause(ctx)
	}
	var ended *exited
	if errors.As(err, &ended) {
		return ended.code
	}
	o := outcomeOf(err)
	var told *quiet
	if errors.As(err, &told) {
		return o.exit
	}
	f := failure{Code: o.code, Message: node.Redact(err.Error()), Hint: a.hint(err, o)}
	if a.json {
		w := a.out
		if a.verb == "cat" {
			w = a.err
		}
		_ = printJSON(w, map[string]failure{"error": f})
		return o.exit
	}
	a.remark("shoal: %s", f.Message)
	if f.Hint != "" {
		a.remark("%s", f.Hint)
	}
	return o.exit
}

// hint is the next step in one sentence.
func (a *app) hint(err error, o outcome) string {
	var better *advised
	if errors.As(err, &better) {
		return better.hint
	}
	switch {
	case o.exit == exitInterrupted && (a.verb == "get" || a.verb == "check"):
		return "the same command goes on where this one stopped"
	case o.exit == exitInterrupted && a.verb == "testnet run":
		return "what was recorded until then stays, for 'shoal testnet report'"
	case o.exit == exitInterrupted:
		return "the same command starts again"
	case errors.Is(err, node.ErrUsage) && a.verb != "" && a.verb != "shoal":
		return fmt.Sprintf("see 'shoal help %s'", a.verb)
	case errors.Is(err, node.ErrNotFound) && (a.verb == "unshare" || a.verb == "check" || a.verb == "unlist"):
		return "'shoal shares' lists what is shared"
	case errors.Is(err, node.ErrNotFound) && a.verb == "ticket":
		return "'shoal shares' lists what is here; whoever shares it can make the ticket, and so can you once you have fetched it"
	case errors.Is(err, node.ErrNoPeer) && a.verb == "find" && (a.typed.Network == node.Isolated || a.typed.NoDHT):
		return "find asks the DHT, so leave --network isolated and --no-dht away; 'shoal get' with a ticket or --peer needs none"
	case errors.Is(err, node.ErrNoPeer) && a.typed.Network == node.Isolated:
		return "name a peer with --peer, use a ticket, or leave --network isolated away, to look on this network"
	case errors.Is(err, node.ErrDisk) && a.verb == "share":
		return "check that the files can be read and that there is room at " + a.home
	}
	return o.hint
}

// exitCodesTopic is `shoal help exit-codes`.
func exitCodesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("How shoal ends:\n\n")
	row := func(exit int, code, says string) { fmt.Fprintf(&b, "  %3d  %-12s %s\n", exit, code, says) }
	row(0, "", "done")
	row(exitOther, "", "anything that is not below")
	for _, o := range outcomes {
		if o.exit != exitOther {
			row(o.exit, o.code, o.says)
		}
	}
	b.WriteString(`
With --json, an error is the last object on standard output, and with cat, whose standard output is the file's own, on
standard error:

  {"error":{"code":"not_found","message":"…","hint":"…"}}

Codes other than those above: no_node (no node is running) and internal, both with exit code 1.`)
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes and the errors of --json mean", Long: b.String()}
}
