package testnet

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

// maxRecord is how many bytes of events are kept of one run: a day of a hundred nodes. Beyond it, looks at nodes are left out.
const maxRecord = 256 << 20

// Recorder writes the events of a run, as lines of JSON, to a file. Its methods may be called by several goroutines.
type Recorder struct {
	watch func(Event)
	most  int64

	mu    sync.Mutex // guards the rest
	file  *os.File
	out   *bufio.Writer
	bytes int64
	begun time.Time // zero: it has not
	err   error     // the first one of writing
}

// NewRecorder makes the file, which must not be there yet. watch, which may be nil, sees each event, one at a time, with its time.
func NewRecorder(path string, watch func(Event)) (*Recorder, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	return &Recorder{watch: watch, most: maxRecord, file: f, out: bufio.NewWriterSize(f, 64<<10)}, nil
}

// Begin starts the run's clock. What is recorded before happens at 0.
func (r *Recorder) Begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = time.Now()
}

// sinceBegin is what the run's clock says.
func (r *Recorder) sinceBegin() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.begun.IsZero() {
		return 0
	}
	return time.Since(r.begun)
}

// Record writes an event that happens now.
func (r *Recorder) Record(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.T = 0
	if !r.begun.IsZero() {
		e.T = time.Since(r.begun).Seconds()
	}
	r.write(e)
}

// Replay writes an event with the time that it has, as a simulated ground says it.
func (r *Recorder) Replay(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write(e)
}

func (r *Recorder) write(e Event) {
	look := e.Kind == "sample" || e.Kind == "fed"
	if r.watch != nil {
		r.watch(e)
	}
	if r.err != nil || look && r.bytes > r.most {
		return
	}
	line, err := json.Marshal(e)
	if err == nil {
		line = append(line, '\n')
		r.bytes += int64(len(line))
		_, err = r.out.Write(line)
	}
	if look && r.bytes > r.most {
		line = fmt.Appendf(nil, `{"t":%g,"event":"note","reason":"from here on looks at nodes are not recorded: there are %d MiB of events"}`+"\n", e.T, r.most>>20)
		_, err = r.out.Write(line)
	}
	if err == nil && !look {
		err = r.out.Flush() // what happened survives a crash of the run
	}
	r.err = err
}

// Close writes down what is left, and returns the first error of writing.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.out.Flush(); r.err == nil {
		r.err = err
	}
	if err := r.file.Close(); r.err == nil {
		r.err = err
	}
	if r.err != nil {
		return fmt.Errorf("record: %w", r.err)
	}
	return nil
}
