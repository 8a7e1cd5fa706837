//go:build fault

package fault

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Variable is the environment variable that says what happens where.
const Variable = "SHOAL_FAULT"

// plan is what Variable asks for.
type plan struct {
	point  string // "" for nothing
	passes atomic.Int64
	at     int64 // the passing that it happens at, from 1
	signal syscall.Signal
}

var asked = sync.OnceValue(func() *plan {
	p, err := parse(os.Getenv(Variable))
	if err != nil {
		panic(err)
	}
	return p
})

func parse(text string) (*plan, error) {
	if text == "" {
		return new(plan), nil
	}
	f := strings.Split(text, ":")
	if len(f) != 3 {
		return nil, fmt.Errorf("%s=%s: want POINT:PASSING:ACTION, such as K7:3:kill", Variable, text)
	}
	at, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil || at < 1 {
		return nil, fmt.Errorf("%s=%s: %q is no number of a passing", Variable, text, f[1])
	}
	signals := map[string]syscall.Signal{"kill": syscall.SIGKILL, "stop": syscall.SIGSTOP}
	signal, ok := signals[f[2]]
	if !ok {
		return nil, fmt.Errorf("%s=%s: %q is not kill or stop", Variable, text, f[2])
	}
	return &plan{point: f[0], at: at, signal: signal}, nil
}

// Point ends or stops the process if that was asked for here.
func Point(name string) {
	p := asked()
	if p.point != name || p.passes.Add(1) != p.at {
		return
	}
	if err := syscall.Kill(os.Getpid(), p.signal); err != nil {
		panic(err)
	}
	for { // the signal may take another thread first
		time.Sleep(time.Hour)
	}
}

// WriteAt writes p to f at off, with a point in its middle.
func WriteAt(f io.WriterAt, p []byte, off int64, point string) (int, error) {
	if asked().point != point {
		return f.WriteAt(p, off)
	}
	half := len(p) / 2
	n, err := f.WriteAt(p[:half], off)
	if err != nil {
		return n, err
	}
	Point(point)
	n, err = f.WriteAt(p[half:], off+int64(half))
	return half + n, err
}
