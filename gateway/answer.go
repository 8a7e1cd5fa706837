package gateway

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// errGone is returned by writes to a caller that hung up.
var errGone = errors.New("the caller hung up")

// answer writes the lines of one answer, whole and in order, whoever they come from.
type answer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	log     *slog.Logger

	mu    sync.Mutex // held while a line is on its way; guards the rest
	begun bool
	ended bool
	last  time.Time // when something was written
}

func newAnswer(w http.ResponseWriter, log *slog.Logger) *answer {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	return &answer{w: w, control: http.NewResponseController(w), log: log, last: time.Now()}
}

// begin tells the caller that the request is well-formed and has started.
func (a *answer) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begun = true
	a.w.WriteHeader(http.StatusOK)
	_ = a.control.Flush()
}

// write sends a line and the bytes that follow it. The caller holds mu.
func (a *answer) write(l line, data []byte) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if _, err := a.w.Write(append(text, '\n')); err != nil {
		return errGone
	}
	if len(data) > 0 {
		if _, err := a.w.Write(data); err != nil {
			return errGone
		}
	}
	if err := a.control.Flush(); err != nil {
		return errGone
	}
	a.last = time.Now()
	return nil
}

// event sends one event. That the caller hung up, the context says.
func (a *answer) event(event any) {
	text, err := json.Marshal(event)
	if err != nil {
		a.log.Error("control event cannot be written as JSON", "err", err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ended {
		_ = a.write(line{Event: text}, nil)
	}
}

// Write sends bytes of output.
func (a *answer) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return 0, errGone
	}
	if err := a.write(line{Data: int64(len(p))}, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (a *answer) result(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	return a.write(line{Result: text}, nil)
}

func (a *answer) fail(e RemoteError) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	_ = a.write(line{Error: &e}, nil)
}

func (a *answer) refuse(no *refusal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	if no.status == http.StatusMethodNotAllowed {
		a.w.Header().Set("Allow", http.MethodPost)
	}
	if !a.begun {
		a.w.WriteHeader(no.status)
	}
	_ = a.write(line{Error: &RemoteError{Code: no.code, Message: no.message}}, nil)
}

// beat keeps an answer from falling silent, until stop is called.
func (a *answer) beat(every time.Duration) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				a.beatOnce(every)
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}

func (a *answer) beatOnce(every time.Duration) {
	if !a.mu.TryLock() {
		return // something is being written just now
	}
	defer a.mu.Unlock()
	if a.begun && !a.ended && time.Since(a.last) >= every/2 {
		_ = a.write(line{Beat: true}, nil)
	}
}
