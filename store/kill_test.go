//go:build linux && fault

package store

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/store/fault"
)

// points are where a workload is ended, and at how late a passing.
var points = []struct {
	name string // "" is any moment
	most int
}{
	{"K1", 3},
	{"K2", 4},
	{"K3", 3},
	{"K4", 3},
	{"K5", 20},
	{"K6", 30},
	{"K7", 40},
	{"K8", 40},
	{"K9", 5},
	{"K10", 5},
	{"K11", 7},
	{"K12", 5},
	{"K13", 25},
	{"K14", 4},
	{"", 0},
}

// choose says where the nth end comes.
func choose(n int, random *rand.Rand) (point string, passing int) {
	p := points[n%len(points)]
	if p.name == "" {
		return "", 0
	}
	return p.name, 1 + random.IntN(p.most)
}

// patience is how long a loop goes on by itself, once it has been at every point.
const patience = 15 * time.Second

// rounds counts from 0 to a usual number, which a slow machine does not reach, or to the one that a variable of the environment
// says.
func rounds(t testing.TB, variable string, usual int) iter.Seq[int] {
	t.Helper()
	asked, err := strconv.Atoi(cmp.Or(os.Getenv(variable), "0"))
	if err != nil || asked < 0 {
		t.Fatalf("%s=%s is no number of rounds", variable, os.Getenv(variable))
	}
	start := time.Now()
	return func(yield func(int) bool) {
		for n := range cmp.Or(asked, usual) {
			if asked == 0 && n >= len(points) && time.Since(start) > patience || !yield(n) {
				return
			}
		}
	}
}

// seeded makes a run that failed repeatable, as far as the system lets it.
func seeded(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	if s, err := strconv.ParseUint(os.Getenv("SHOAL_FAULT_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("SHOAL_FAULT_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// victim is a workload that runs.
type victim struct {
	*exec.Cmd
	stderr bytes.Buffer
	read   sync.WaitGroup
	events []event // complete when read is done
	first  chan struct{}
}

// start runs a workload in another process, up to a fault.
func (c *scene) start(point string, passing int, action string) *victim {
	c.t.Helper()
	v := &victim{Cmd: exec.Command(os.Args[0]), first: make(chan struct{})}
	c.fault = "a " + action + " at any moment"
	v.Env = append(os.Environ(), "SHOAL_STORE_CHILD=workload", "SHOAL_STORE_DIR="+c.dir, "SHOAL_STORE_STOCK="+c.stock,
		"SHOAL_STORE_HOME="+c.home, fmt.Sprint("SHOAL_STORE_LOSS=", c.maxLoss))
	if point != "" {
		c.fault = fmt.Sprintf("%s:%d:%s", point, passing, action)
		v.Env = append(v.Env, fault.Variable+"="+c.fault)
	}
	v.Stderr = &v.stderr
	out := must(v.StdoutPipe())
	must(0, v.Start())
	v.read.Go(func() {
		begun := false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if e, err := parseEvent(lines.Text()); err == nil { // the last one may be half a line
				v.events = append(v.events, e)
			}
			if !begun {
				begun = true
				close(v.first)
			}
		}
	})
	return v
}

// await waits until a workload is killed or stops, and ends one that does neither.
func (v *victim) await(t testing.TB) syscall.WaitStatus {
	t.Helper()
	late := time.AfterFunc(2*time.Minute, func() { v.Process.Kill() })
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(v.Process.Pid, &status, syscall.WUNTRACED, nil)
		if err == syscall.EINTR {
			continue
		}
		must(0, err)
		break
	}
	if !late.Stop() {
		t.Errorf("a workload did not come to %s", v.Env[len(v.Env)-1])
	}
	return status
}

// ended collects what a workload said.
func (v *victim) ended(end time.Time) past {
	v.read.Wait()
	return pastOf(v.events, end)
}

// Killed at each of the points, and at any other moment, a node starts again, and has lost nothing.
func TestKillAtEachPoint(t *testing.T) {
	dir := t.TempDir()
	c := newScene(t, filepath.Join(dir, "work"), filepath.Join(dir, "home"), filepath.Join(dir, "stock"))
	random := seeded(t)
	for n := range rounds(t, "SHOAL_KILLS", 3*len(points)) {
		point, passing := choose(n, random)
		v := c.start(point, passing, "kill")
		if point == "" {
			<-v.first
			time.Sleep(time.Duration(random.IntN(800)) * time.Millisecond)
			must(0, v.Process.Kill())
		}
		status := v.await(t)
		v.Process.Release()
		p := v.ended(time.Now())
		if !status.Signaled() || status.Signal() != syscall.SIGKILL {
			t.Fatalf("the workload, which waits for %s, ended by itself: %v\n%s", c.fault, status, &v.stderr)
		}
		c.inspect(p, false)
		if t.Failed() {
			return
		}
	}
	c.finish()
}

// Killed at any point of its first start, a node starts again.
func TestFirstStartIsKilledAtEachPoint(t *testing.T) {
	dir := t.TempDir()
	c := newScene(t, filepath.Join(dir, "work"), "", filepath.Join(dir, "stock"))
	for passing := range 8 {
		c.home = filepath.Join(dir, "home", strconv.Itoa(passing))
		must(0, os.MkdirAll(c.home, 0o700))
		v := c.start("K13", passing+1, "kill")
		if status := v.await(t); !status.Signaled() {
			t.Fatalf("the workload, which waits for %s, ended by itself: %v\n%s", c.fault, status, &v.stderr)
		}
		v.Process.Release()
		c.inspect(v.ended(time.Now()), false)
	}
}
