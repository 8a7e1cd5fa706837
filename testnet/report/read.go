package report

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/shoal-p2p/shoal/testnet"
)

// ErrEvents is in every error about what a file of events holds.
var ErrEvents = errors.New("not the events of a run")

// Open reads the events of the run in a folder, or a file of events.
func Open(ctx context.Context, path string) (*Run, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		path = filepath.Join(path, "events.jsonl")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := Read(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Read reads the lines of an events.jsonl to their end. An error names the line that is broken. A last line that was cut off, as a
// crash leaves it, is only remarked upon.
func Read(ctx context.Context, from io.Reader) (*Run, error) {
	in := bufio.NewReaderSize(from, maxLine)
	r := newRun()
	var read int64
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		read += int64(len(line))
		if n%1024 == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		cut := errors.Is(err, io.EOF)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("%w: line %d is longer than %d bytes", ErrEvents, n, maxLine)
		case err != nil && !cut:
			return nil, err
		case read > maxFile:
			return nil, fmt.Errorf("%w: more than %d bytes", ErrEvents, int64(maxFile))
		case cut && len(line) == 0:
			return r, r.finish()
		}
		var e testnet.Event
		if err := json.Unmarshal(line, &e); err != nil {
			if cut {
				r.remark("The last line of the record is cut off: whatever wrote it broke off there.")
				return r, r.finish()
			}
			return nil, fmt.Errorf("%w: line %d: %w", ErrEvents, n, err)
		}
		if err := r.take(e); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrEvents, n, err)
		}
	}
}

// sound says what is wrong with the figures of an event.
func sound(e testnet.Event) error {
	if e.T < 0 || e.Seconds < 0 || e.Bound < 0 || e.CPU < 0 || max(e.T, e.Seconds, e.Bound, e.CPU) > maxTime {
		return fmt.Errorf("a time is negative or longer than %.0f seconds", maxTime)
	}
	if min(e.Up, e.Down) < 0 || max(e.Up, e.Down) > maxRate {
		return fmt.Errorf("a rate is negative or more than %.0f bytes a second", maxRate)
	}
	if min(e.Bytes, e.Total, e.Received, e.Sent, e.Duplicate, e.Memory) < 0 {
		return errors.New("a number of bytes is negative")
	}
	if min(e.Peers, e.Found, e.Asked, e.Hops) < 0 {
		return errors.New("a number is negative")
	}
	return nil
}
