package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoal-p2p/shoal/content"
	"github.com/shoal-p2p/shoal/node"
)

// sought are the flags of all commands that fetch.
type sought struct {
	peers   []string
	timeout time.Duration
}

func (s *sought) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&s.peers, "peer", nil, "multiaddr with /p2p/ of a peer to ask; may be repeated")
	cmd.Flags().DurationVar(&s.timeout, "timeout", node.DefaultPatience, "how long to wait without a peer or a byte; 0 is for ever")
}

// seconds is the timeout as requests have it.
func (s *sought) seconds() float64 {
	if s.timeout <= 0 {
		return -1
	}
	return s.timeout.Seconds()
}

func (a *app) getCommand() *cobra.Command {
	var output string
	var force bool
	var seed seedTime
	var from sought
	cmd := &cobra.Command{
		Use:   "get REF",
		Short: "Fetch a file or a directory",
		Long: `Fetches what REF names, verifies every byte, and puts it into place when all of it is there. An interrupted get is taken up by
the same command. REF is a CID, a CID with a path inside it (CID/docs/a.txt), a ticket, a ticket with a path, or, so that a ticket
need not stand in the list of processes, - to read one of these from standard input, or @FILE to read it from a file.

Without -o, it is called as the ticket says, or by the last part of the path, or by its CID.

With --seed, it goes on serving what it has fetched for so long, or until it is interrupted; the exit code is 0 then. A node
that runs on this home ('shoal serve') does so anyway, and the command returns at once.

With --json, what happens is printed as it happens, one event a line; the last one is "done". With --seed, events "seeding"
follow, and one "seeded" when that is over.`,
		Example: "  shoal get bafybeib…\n  shoal get shoal1… -o ~/Downloads\n  pbpaste | shoal get -",
		Args:    exactly("REF"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := a.ref(args[0])
			if err != nil {
				return err
			}
			dest, err := destination(ref, output)
			if err != nil {
				return err
			}
			return a.get(cmd.Context(), node.FetchRequest{
				Ref: ref.text, Dest: dest, Force: force, Peers: from.peers, Timeout: from.seconds(),
			}, seed)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "where to put it: a new name, or a directory that exists, to put it into")
	cmd.Flags().BoolVar(&force, "force", false, "replace what stands at the destination")
	cmd.Flags().Var(&seed, "seed", "how long to go on serving what was fetched, such as 10m, or 'forever'; 0 is not at all")
	from.flags(cmd)
	a.rateFlags(cmd)
	a.listFlags(cmd)
	return cmd
}

// typedRef is what a user typed to name content, understood.
type typedRef struct {
	node.Ref
	text string
}

// maxRef is longer than every ticket with a path.
const maxRef = 16 << 10 // bytes

// ref understands a reference before a node is asked; "-" reads it from standard input, and "@FILE" from a file.
func (a *app) ref(text string) (typedRef, error) {
	var err error
	if file, named := strings.CutPrefix(text, "@"); named {
		text, err = refInFile(file)
	} else if text == "-" {
		text, err = a.refOnInput()
	}
	if err != nil {
		return typedRef{}, err
	}
	r, err := node.ParseRef(text)
	if err != nil {
		return typedRef{}, &advised{err, refHint(text)}
	}
	return typedRef{r, text}, nil
}

// refHint is what to do about a text that names nothing.
func refHint(text string) string {
	if strings.HasPrefix(strings.ToLower(text), "shoal") {
		return "copy the ticket again, all of it: one word that begins with shoal1"
	}
	return "copy the CID again, all of it, as 'shoal share' prints it; a ticket, @FILE or - (standard input) will do, too"
}

func (a *app) refOnInput() (string, error) {
	if a.onTerminal(a.in) {
		a.remark("paste a CID or a ticket, and press enter:")
	}
	line, err := bufio.NewReader(io.LimitReader(a.in, maxRef)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if line = strings.TrimSpace(line); line == "" {
		return "", usage("nothing came on standard input")
	}
	return line, nil
}

// refInFile reads a file that holds one reference.
func refInFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", usage("the ticket cannot be read: %s", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRef+1))
	text := strings.TrimSpace(string(b))
	switch {
	case err != nil:
		return "", usage("the ticket cannot be read: %s", err)
	case len(b) > maxRef:
		return "", usage("%s is too large for a ticket: more than %d bytes", path, maxRef)
	case text == "" || strings.ContainsAny(text, "\r\n"):
		return "", usage("%s does not hold one ticket or CID and nothing else", path)
	}
	return text, nil
}

// destination is where a get writes, as an absolute path.
func destination(ref typedRef, output string) (string, error) {
	if output == "-" {
		return "", &advised{usage("get writes files, not to standard output"), "use 'shoal cat'"}
	}
	name := ref.defaultName()
	path := output
	switch info, err := os.Stat(output); {
	case output == "":
		path = name
	case err == nil && info.IsDir():
		path = filepath.Join(output, name)
	case os.IsPathSeparator(output[len(output)-1]):
		return "", &advised{usage("there is no directory %s", output), "make it first, or leave the slash away"}
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return "", &advised{usage("there is no directory %s", filepath.Dir(path)), "make it first, or choose another with -o"}
	}
	return path, nil
}

// defaultName is what content is called when the user does not say. Names come from others, so one that is not safe here is
// passed over.
func (r typedRef) defaultName() string {
	name := r.Name
	if r.Path != "" {
		name = r.Path[strings.LastIndexByte(r.Path, '/')+1:]
	}
	if safe, err := content.ParseName(name); err == nil && !strings.HasPrefix(name, ".") {
		return safe.String()
	}
	return r.CID
}

func (a *app) get(ctx context.Context, request node.FetchRequest, seed seedTime) error {
	var done node.Event
	var until time.Time
	err := a.with(ctx, func(ctx context.Context, s *session) error {
		if done.Kind == "" {
			e, err := s.Fetch(ctx, request, s.tell.event)
			s.tell.stop()
			if err != nil {
				return err
			}
			if done = e; seed.length > 0 {
				until = time.Now().Add(seed.length)
			}
			if err := a.printDone(done); err != nil && (s.remote != nil || !seed.wanted()) {
				return err
			}
		}
		if !seed.wanted() {
			return nil
		}
		return a.seed(ctx, s, done, until)
	})
	if done.Kind != "" && seed.wanted() && interrupted(ctx) {
		return nil // that is how seeding ends
	}
	return err
}

func (a *app) printDone(done node.Event) error {
	if a.json {
		return printJSON(a.out, done)
	}
	return a.printFetched(done)
}

func (a *app) printFetched(e node.Event) error {
	a.printSkipped(e.Skipped)
	if _, err := fmt.Fprintln(a.out, content.Printable(e.Path)); err != nil {
		return err
	}
	var came int64
	for _, s := range e.Sources {
		came += s.Bytes
		if s.Bad > 0 {
			a.remark("%s sent %s that did not hash right; fetched again elsewhere", short(s.Peer), count(s.Bad, "chunk", "chunks"))
		}
	}
	text := "fetched " + took(came, e.Seconds)
	if len(e.Sources) > 0 {
		text += " from " + count(len(e.Sources), "peer", "peers")
	}
	if e.Present > 0 {
		text += fmt.Sprintf("; %s were here already", size(e.Present))
	}
	a.remark("%s", join(text, fmt.Sprintf("%s in all", size(e.Bytes))))
	a.printSources(e)
	return nil
}
