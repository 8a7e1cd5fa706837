package testnet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/shoal-p2p/shoal/node"
)

// Bench measures a machine: what it hashes, writes and reads, what one stream carries between two nodes on it, and how fast
// one of them fetches a file from the other. The nodes are processes on loopback with homes of their own.
type Bench struct {
	Dir   string // absolute: a folder of its own, as that of a Net, made by Run and removed at its end
	Shoal string // path of the program
	Size  int64  // bytes of the file, at most: a slow disk gets a smaller one
}

// The least and the greatest file of a Bench, in bytes.
const (
	MinBench = 4 << 20
	MaxBench = 64 << 30
)

// Room is how many bytes a Bench needs on the disk of its Dir at most: the file, its copy, and what two nodes have besides.
func (b Bench) Room() int64 { return 2*b.Size + 64<<20 }

// Figure is one thing that was measured.
type Figure struct {
	Name    string  `json:"name"`
	Bytes   int64   `json:"bytes,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	Rate    float64 `json:"rate"`            // bytes a second
	Note    string  `json:"note,omitempty"`  // how to take it
	Ratio   float64 `json:"ratio,omitempty"` // to the rate of the next one, on which this one rests
}

// The names of figures.
const (
	BenchTransfer = "whole transfer"
	BenchStream   = "bare stream"
	BenchWrite    = "disk, write"
	BenchRead     = "disk, read"
	BenchHash     = "hash"
)

// Benched is what a Bench found, from the top down: each figure rests on those after it.
type Benched struct {
	Dir        string   `json:"dir"`
	Size       int64    `json:"size"` // bytes of the file
	Figures    []Figure `json:"figures"`
	Bottleneck string   `json:"bottleneck"` // the name of the least figure below the whole transfer; empty: the transfer was faster than that
	Reached    float64  `json:"reached"`    // the part of it that the whole transfer reaches
}

// A Bench is over in half a minute: what takes longest is given up early.
const (
	writeWithin = 7 * time.Second
	getWithin   = 2 * time.Minute // a disk that stalls
	streamTries = 2               // each is three probes, and a node takes part in six a minute
)

// Run measures, one thing after the other, and says what it does. Nothing is left behind, also when ctx ends; what a killed one leaves is a
// Net that Clean removes.
func (b Bench) Run(ctx context.Context, emit func(string)) (out Benched, err error) {
	if b.Size < MinBench || b.Size > MaxBench {
		return out, fmt.Errorf("%w: a file of %d bytes: it can have from %d to %d", ErrRequest, b.Size, MinBench, int64(MaxBench))
	}
	out.Dir = b.Dir
	emit("starting two nodes")
	flags := []string{"--network", "isolated", "--listen", "/ip4/127.0.0.1/tcp/0"}
	net, err := Up(ctx, Config{Dir: b.Dir, Shoal: b.Shoal, Nodes: []Spec{{Name: "from", Flags: flags}, {Name: "to", Flags: flags}}}, nil)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, net.Down(context.WithoutCancel(ctx))) }()
	files := filepath.Join(b.Dir, nodesName, "files") // what removes the Net removes it
	if err := os.Mkdir(files, 0o700); err != nil {
		return out, err
	}
	file := filepath.Join(files, "file")
	below, err := b.machine(ctx, file, emit)
	if err != nil {
		return out, err
	}
	out.Size = below[0].Bytes
	emit("sending over a bare stream from one node to the other")
	stream, err := net.stream(ctx, "from", "to")
	if err != nil {
		return out, err
	}
	emit("sharing the file, and fetching it")
	fetched := filepath.Join(files, "copy")
	whole, err := net.transfer(ctx, "from", "to", file, fetched)
	if err != nil {
		return out, err
	}
	if whole.Rate > below[0].Rate { // so the disk can do more than it did: a get writes too
		emit("writing once more, for the disk was slower than the get")
		if err := os.Remove(fetched); err != nil { // there may be no room for a third
			return out, err
		}
		again, err := b.write(ctx, fetched)
		if err != nil {
			return out, err
		}
		if again.Rate > below[0].Rate {
			below[0] = again
		}
	}
	out.judge(append([]Figure{whole, stream}, below...))
	return out, nil
}

// judge puts each figure beside the next.
func (b *Benched) judge(figures []Figure) {
	for i := range figures[:len(figures)-1] {
		if next := figures[i+1].Rate; next > 0 {
			figures[i].Ratio = figures[i].Rate / next
		}
	}
	least := figures[1]
	for _, f := range figures[2:] {
		if f.Rate < least.Rate && f.Name != BenchRead { // what was just written is read from memory
			least = f
		}
	}
	b.Figures = figures
	if least.Rate >= figures[0].Rate && least.Rate > 0 {
		b.Bottleneck, b.Reached = least.Name, figures[0].Rate/least.Rate
	}
}

func figure(name string, bytes int64, took time.Duration) Figure {
	return Figure{Name: name, Bytes: bytes, Seconds: took.Seconds(), Rate: float64(bytes) / max(took.Seconds(), 1e-9)}
}

// machine measures what needs no node, and leaves the file there.
func (b Bench) machine(ctx context.Context, file string, emit func(string)) ([]Figure, error) {
	emit("writing a file to " + b.Dir)
	write, err := b.write(ctx, file)
	if err != nil {
		return nil, err
	}
	size := write.Bytes
	emit("reading it again")
	took, cold, err := ReadFile(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", node.ErrDisk, err)
	}
	read := figure(BenchRead, size, took)
	read.Note = "from memory, where this system keeps it"
	if cold {
		read.Note = "after the system was told to forget it"
	}
	emit("hashing it")
	took, err = HashFile(ctx, file)
	if err != nil {
		return nil, err
	}
	hash := figure(BenchHash, size, took)
	hash.Note = "SHA-256 on all cores"
	return []Figure{write, read, hash}, nil
}

// write measures the writing of a file.
func (b Bench) write(ctx context.Context, file string) (Figure, error) {
	size, took, err := FillFile(ctx, file, b.Size, writeWithin)
	if err != nil {
		return Figure{}, fmt.Errorf("%w: %w", node.ErrDisk, err)
	}
	f := figure(BenchWrite, size, took)
	f.Note = "until the disk has it"
	return f, nil
}

// stream is what one stream carries from a node to another: the better of some tries.
func (n *Net) stream(ctx context.Context, from, to string) (Figure, error) {
	sender, err := n.Node(from)
	if err != nil {
		return Figure{}, err
	}
	receiver, err := n.Node(to)
	if err != nil {
		return Figure{}, err
	}
	f := Figure{Name: BenchStream, Note: "one libp2p stream between two processes"}
	for range streamTries {
		r := node.DoctorRequest{Ref: sender.Addrs[0], Only: true}
		d, err := call[node.DoctorRequest, node.Diagnosis](ctx, receiver.Socket, "doctor", r, nil)
		switch {
		case err != nil:
			return f, err
		case d.Path == nil || d.Path.Error != "":
			return f, fmt.Errorf("measure the path from %s to %s: %+v", from, to, d.Path)
		}
		f.Rate = max(f.Rate, d.Path.Down)
		f.Note = "one libp2p stream between two processes, " + cmp.Or(d.Path.Transport, "?")
	}
	return f, nil
}

// transfer is how fast a node fetches a file that another one shares, from the request until it stands in its place.
func (n *Net) transfer(ctx context.Context, from, to, file, dest string) (Figure, error) {
	ctx, cancel := context.WithTimeout(ctx, getWithin)
	defer cancel()
	shared, err := n.Share(ctx, from, node.ShareRequest{Paths: []string{file}})
	if err != nil {
		return Figure{}, fmt.Errorf("share: %w", err)
	}
	start := time.Now()
	done, err := n.Fetch(ctx, to, node.FetchRequest{Ref: shared.Ticket, Dest: dest}, nil)
	if err != nil {
		return Figure{}, fmt.Errorf("fetch: %w", err)
	}
	f := figure(BenchTransfer, done.Bytes, time.Since(start))
	f.Note = "get of a file, verified, until the disk has it"
	return f, nil
}
