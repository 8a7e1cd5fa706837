//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/testnet"
)

// size is the number of bytes to use for a figure that takes full of them.
func (b *bench) size(full int64) int64 {
	if b.quick {
		return full / 16
	}
	return full
}

// times are the durations of one thing, run after run.
type times []time.Duration

func (t times) median() time.Duration {
	s := slices.Clone(t)
	slices.Sort(s)
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// each runs f once to warm up and then as often as asked for.
func (b *bench) each(f func(warm bool) error) error {
	for i := range b.runs + 1 {
		if err := f(i == 0); err != nil {
			return err
		}
	}
	return nil
}

func gbs(bytes int64, t time.Duration) string {
	return fmt.Sprintf("%.2f GB/s", float64(bytes)/t.Seconds()/1e9)
}

func seconds(t time.Duration) string { return fmt.Sprintf("%.2f s", t.Seconds()) }

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

// share: `shoal share` of 2 GiB against SHA-256 of the same bytes, and what the index grows by.
func (b *bench) share(ctx context.Context) error {
	size := b.size(2 << 30)
	file, err := b.random(ctx, "share", size)
	if err != nil {
		return err
	}
	defer os.Remove(file)
	var ours, bound times
	var growth int64
	err = b.each(func(warm bool) error {
		hash, err := testnet.HashFile(ctx, file)
		if err != nil {
			return err
		}
		took, grew, err := b.shareOnce(ctx, file)
		if err != nil || warm {
			return err
		}
		ours, bound, growth = append(ours, took), append(bound, hash), max(growth, grew)
		fmt.Printf("share %v, SHA-256 %v, index +%s\n", took, hash, mib(grew))
		return nil
	})
	if err != nil {
		return err
	}
	ratio := bound.median().Seconds() / ours.median().Seconds()
	b.add(row{
		"share " + mib(size) + " in place", gbs(size, ours.median()), "SHA-256 on all cores " + gbs(size, bound.median()),
		fmt.Sprintf("%.2f", ratio), "≥ 0.80", ratio >= 0.80,
	})
	part := float64(growth) / float64(size)
	b.add(row{
		"index growth", mib(growth), mib(size) + " shared", fmt.Sprintf("%.4f %%", part*100), "≤ 0.1 %", part <= 0.001,
	})
	return nil
}

// shareOnce shares a path with a new node and returns the time of the command and the growth of the home in bytes.
func (b *bench) shareOnce(ctx context.Context, path string) (took time.Duration, grew int64, err error) {
	n, err := b.node(ctx, "isolated")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	before, err := onDisk(n.home)
	if err != nil {
		return 0, 0, err
	}
	if _, took, err = n.share(ctx, path); err != nil {
		return 0, 0, err
	}
	after, err := onDisk(n.home)
	return took, after - before, err
}

// source starts a node that shares a path.
func (b *bench) source(ctx context.Context, path string) (n *node, s shared, addr string, err error) {
	if n, err = b.node(ctx, "isolated"); err != nil {
		return nil, s, "", err
	}
	if s, _, err = n.share(ctx, path); err == nil {
		addr, err = n.addr(ctx)
	}
	if err != nil {
		return nil, s, "", errors.Join(err, n.stop())
	}
	return n, s, addr, nil
}

// fetch gets a root with a new node, and returns the time of the command and the bytes on disk besides the content itself.
func (b *bench) fetch(ctx context.Context, cid, peer string) (took time.Duration, extra int64, err error) {
	n, err := b.node(ctx, "isolated")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	into, err := os.MkdirTemp(b.work, "got.")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(into)
	dest := filepath.Join(into, "content")
	if took, err = n.get(ctx, cid, peer, dest); err != nil {
		return 0, 0, err
	}
	home, err1 := onDisk(n.home)
	all, err2 := onDisk(into)
	content, err3 := onDisk(dest)
	return took, home + all - content, errors.Join(err1, err2, err3)
}

// get: 2 GiB between two nodes against a bare stream and against rsync, and the disk that both sides use besides the file.
func (b *bench) get(ctx context.Context) (err error) {
	size := b.size(2 << 30)
	file, err := b.random(ctx, "get", size)
	if err != nil {
		return err
	}
	defer os.Remove(file)
	from, s, addr, err := b.source(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.stop()) }()
	ssh, none, err := b.startSSH(ctx)
	if err != nil {
		return err
	}
	if ssh != nil {
		defer func() { err = errors.Join(err, ssh.stop()) }()
	}
	var ours, bare, own, rsync times
	var extra int64
	err = b.each(func(warm bool) error {
		stock, err := b.stream(ctx, "stock")
		if err != nil {
			return err
		}
		tuned, err := b.stream(ctx, "tcp")
		if err != nil {
			return err
		}
		if err := b.warm(size); err != nil {
			return err
		}
		took, more, err := b.fetch(ctx, s.CID, addr)
		if err != nil {
			return err
		}
		var copied time.Duration
		if ssh != nil {
			if err := b.warm(size); err != nil {
				return err
			}
			if copied, err = b.copy(ctx, ssh, file); err != nil {
				return err
			}
		}
		if warm {
			return nil
		}
		streamed := func(rate float64) time.Duration { return time.Duration(float64(size) / rate * 1e9) }
		ours, rsync, extra = append(ours, took), append(rsync, copied), max(extra, more)
		bare, own = append(bare, streamed(stock)), append(own, streamed(tuned))
		fmt.Printf("get %v, bare stream %v, with our settings %v, rsync %v\n", took, streamed(stock), streamed(tuned), copied)
		return nil
	})
	if err != nil {
		return err
	}
	ratio := bare.median().Seconds() / ours.median().Seconds()
	what := "get " + mib(size)
	b.add(row{
		what, gbs(size, ours.median()), "bare libp2p TLS stream " + gbs(size, bare.median()), fmt.Sprintf("%.2f", ratio), "≥ 0.65",
		ratio >= 0.65,
	})
	ratio = own.median().Seconds() / ours.median().Seconds()
	b.add(row{
		what, gbs(size, ours.median()), "the same with our host's settings " + gbs(size, own.median()), fmt.Sprintf("%.2f", ratio), "to compare", true,
	})
	if ssh == nil {
		fmt.Println("not compared with rsync over ssh:", none)
	} else {
		ratio = rsync.median().Seconds() / ours.median().Seconds()
		b.add(row{
			what, gbs(size, ours.median()), "rsync over ssh, AES-GCM " + gbs(size, rsync.median()), fmt.Sprintf("%.2f", ratio),
			"> 1", ratio > 1,
		})
	}
	home, err := onDisk(from.home)
	if err != nil {
		return err
	}
	b.add(row{
		"disk beyond the file", "sharing " + mib(home) + ", fetching " + mib(extra), mib(size) + " moved",
		fmt.Sprintf("%.4f, %.4f", float64(home)/float64(size), float64(extra)/float64(size)), "no second copy",
		max(home, extra) < size/10,
	})
	return nil
}

// copy times rsync to a fresh place and removes what it wrote.
func (b *bench) copy(ctx context.Context, ssh *sshd, path string) (time.Duration, error) {
	into, err := os.MkdirTemp(b.work, "copied.")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(into)
	return ssh.rsync(ctx, path, filepath.Join(into, "content"))
}

// tree: the Go source tree, many small files: share by the clock, get against rsync.
func (b *bench) tree(ctx context.Context) (err error) {
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	tree := filepath.Join(b.work, "src")
	cp := exec.CommandContext(ctx, "cp", "-RL", filepath.Join(strings.TrimSpace(string(goroot)), "src"), tree)
	if out, err := cp.CombinedOutput(); err != nil {
		return fmt.Errorf("cp: %w: %s", err, out)
	}
	defer os.RemoveAll(tree)
	from, s, addr, err := b.source(ctx, tree)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.stop()) }()
	ssh, none, err := b.startSSH(ctx)
	if err != nil {
		return err
	}
	if ssh != nil {
		defer func() { err = errors.Join(err, ssh.stop()) }()
	}
	var shares, gets, rsync times
	err = b.each(func(warm bool) error {
		share, _, err := b.shareOnce(ctx, tree)
		if err != nil {
			return err
		}
		get, _, err := b.fetch(ctx, s.CID, addr)
		if err != nil {
			return err
		}
		var copied time.Duration
		if ssh != nil {
			if copied, err = b.copy(ctx, ssh, tree+"/"); err != nil {
				return err
			}
		}
		if warm {
			return nil
		}
		shares, gets, rsync = append(shares, share), append(gets, get), append(rsync, copied)
		fmt.Printf("share %v, get %v, rsync %v\n", share, get, copied)
		return nil
	})
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%d files, %s: ", s.Files, mib(s.Bytes))
	b.add(row{what + "share", seconds(shares.median()), "", "", "≤ 1.0 s", shares.median() <= time.Second})
	if ssh == nil {
		fmt.Println("not compared with rsync over ssh:", none)
		return nil
	}
	ratio := gets.median().Seconds() / rsync.median().Seconds()
	b.add(row{
		what + "get", seconds(gets.median()), "rsync over ssh " + seconds(rsync.median()), fmt.Sprintf("%.2f × the time", ratio),
		"≤ 1.5 ×", ratio <= 1.5,
	})
	return nil
}

// cold: a share without a daemon and with a fresh home, from the start of the process to the CID on screen.
func (b *bench) cold(ctx context.Context) error {
	file := filepath.Join(b.work, "small")
	if err := os.WriteFile(file, []byte("hello world"), 0o600); err != nil {
		return err
	}
	defer os.Remove(file)
	network := b.lan()
	var first times
	err := b.each(func(warm bool) error {
		home, err := os.MkdirTemp(b.work, "home.")
		if err != nil {
			return err
		}
		defer os.RemoveAll(home)
		took, err := b.firstCID(ctx, home, file, network)
		if err != nil || warm {
			return err
		}
		first = append(first, took)
		fmt.Printf("first CID %v\n", took)
		return nil
	})
	if err != nil {
		return err
	}
	b.add(row{
		"cold share of a small file to its CID (" + network + ")", seconds(first.median()), "", "", "≤ 0.30 s",
		first.median() <= 300*time.Millisecond,
	})
	return nil
}

// lan is the network mode in which nothing leaves the machine: lan where the program has interfaces of its own.
func (b *bench) lan() string {
	if b.own {
		return "lan"
	}
	return "isolated"
}

// idle: memory and processor time of a node that shares something and has nothing to do.
func (b *bench) idle(ctx context.Context) (err error) {
	window := 20 * time.Second
	if b.quick {
		window = 5 * time.Second
	}
	file, err := b.random(ctx, "idle", 64<<20)
	if err != nil {
		return err
	}
	defer os.Remove(file)
	n, err := b.node(ctx, b.lan())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	if _, _, err := n.share(ctx, file); err != nil {
		return err
	}
	if err := pause(ctx, 5*time.Second); err != nil { // it has just worked; let it come to rest
		return err
	}
	before, err := n.processorTime()
	if err != nil {
		return err
	}
	if err := pause(ctx, window); err != nil {
		return err
	}
	after, err1 := n.processorTime()
	resident, err2 := n.memory("VmRSS")
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	part := (after - before).Seconds() / window.Seconds() * 100
	b.add(row{"idle node (" + b.lan() + "), memory", mib(resident), "", "", "≤ 60 MB", resident <= 60e6})
	b.add(row{
		fmt.Sprintf("idle node, processor over %v", window), fmt.Sprintf("%.2f %% of a core", part), "", "", "≤ 0.5 %", part <= 0.5,
	})
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// memory: the peak of each side while 10 GiB move. The source is sparse, but no chunk of it comes twice.
func (b *bench) memory(ctx context.Context) (err error) {
	size := b.size(10 << 30)
	place := b.work
	if free, err := freeMemory(); err != nil {
		return err
	} else if free < size+6<<30 {
		if place, err = os.MkdirTemp(b.disk, "shoal-bench."); err != nil {
			return err
		}
		defer os.RemoveAll(place)
		fmt.Println("too little memory for tmpfs; writing to", place)
	}
	file := filepath.Join(place, "sparse")
	if err := sparse(file, size); err != nil {
		return err
	}
	defer os.Remove(file)
	from, s, addr, err := b.source(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.stop()) }()
	to, err := b.node(ctx, "isolated")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.stop()) }()
	got := filepath.Join(place, "got")
	defer os.Remove(got)
	took, err := to.get(ctx, s.CID, addr, got)
	if err != nil {
		return err
	}
	sender, err1 := from.memory("VmHWM")
	receiver, err2 := to.memory("VmHWM")
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	fmt.Printf("%s in %v\n", mib(size), took)
	b.add(row{
		"peak memory, " + mib(size) + " moved", "sharing " + mib(sender) + ", fetching " + mib(receiver), "", "", "≤ 150 MB",
		max(sender, receiver) <= 150e6,
	})
	return nil
}
