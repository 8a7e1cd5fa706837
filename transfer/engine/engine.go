package engine

import "time"

// Engine is the state of one root's swarm. It must be made by [New], and used by one goroutine at a time.
type Engine struct {
	cfg Config
}

// New makes an engine that wants nothing, has nothing and knows nobody.
func New(cfg Config) *Engine { return &Engine{cfg: cfg.withDefaults()} }

// Step takes one event at its time and returns what is to be done about it. The slice and all in it are valid until the next
// Step.
func (e *Engine) Step(now time.Time, ev Event) []Action { return nil }

// Deadline returns when a [Tick] is due; the zero time if none is.
func (e *Engine) Deadline() time.Time { return time.Time{} }

// Status returns a snapshot.
func (e *Engine) Status() Status { return Status{} }
