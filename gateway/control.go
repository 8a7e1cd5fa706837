package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

// Host is what requests name as their host. It is no name that a browser could come by.
const Host = "shoal"

const prefix = "/v1/"

// Config says where a control API listens. Socket must be set.
type Config struct {
	Socket string                 // path; the directory must be 0700 and this user's own
	Code   func(err error) string // the code under which an error travels; "" and a nil func mean "internal"
	Log    *slog.Logger           // nil discards
	Limits Limits
}

// Control is the server's side of the control API. Register verbs first, then Listen, then Run.
type Control struct {
	config   Config
	verbs    map[string]func(ctx context.Context, body []byte, a *answer) error
	slots    chan struct{} // holds a token for each request that is being answered
	listener *socket
}

// NewControl makes a server without verbs.
func NewControl(c Config) *Control {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Limits = c.Limits.withDefaults()
	return &Control{
		config: c,
		verbs:  make(map[string]func(context.Context, []byte, *answer) error),
		slots:  make(chan struct{}, c.Limits.Clients),
	}
}

// Handle registers a verb that answers with a result. emit may be called from several goroutines until f returns, and blocks
// while the caller is slow to read. f's context ends when the caller hangs up or the server stops.
func Handle[Req, Res any](c *Control, verb string, f func(ctx context.Context, req Req, emit func(event any)) (Res, error)) {
	c.verbs[verb] = func(ctx context.Context, body []byte, a *answer) error {
		var req Req
		if err := decode(body, &req); err != nil {
			return err
		}
		a.begin()
		res, err := f(ctx, req, a.event)
		if err != nil {
			return err
		}
		return a.result(res)
	}
}

// HandleStream registers a verb that answers with bytes, which f writes to w. Events may come between them.
func HandleStream[Req any](c *Control, verb string, f func(ctx context.Context, req Req, w io.Writer, emit func(event any)) error) {
	c.verbs[verb] = func(ctx context.Context, body []byte, a *answer) error {
		var req Req
		if err := decode(body, &req); err != nil {
			return err
		}
		a.begin()
		if err := f(ctx, req, a, a.event); err != nil {
			return err
		}
		return a.result(struct{}{})
	}
}

// Listen takes the socket. It returns ErrInUse when another process answers there; what a dead one left is replaced.
func (c *Control) Listen() error {
	l, err := listen(c.config.Socket)
	if err != nil {
		return err
	}
	l.most, l.log = crowd*c.config.Limits.Clients, c.config.Log
	c.listener = l
	return nil
}

// Run answers requests until ctx ends, and then gives the socket back. It listens if that has not been done.
func (c *Control) Run(ctx context.Context) error {
	if c.listener == nil {
		if err := c.Listen(); err != nil {
			return err
		}
	}
	requests, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	server := &http.Server{
		Handler:           c,
		ReadHeaderTimeout: c.config.Limits.Header,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ErrorLog:          slog.NewLogLogger(c.config.Log.Handler(), slog.LevelDebug),
	}
	server.SetKeepAlivesEnabled(false)
	served := make(chan error, 1)
	go func() { served <- server.Serve(c.listener) }()
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("control socket: %w", err), c.listener.Close())
	case <-ctx.Done():
	}
	// First the door, then the guests: who hears that his request ended must not find this server again.
	closed := c.listener.Close()
	end()
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if server.Shutdown(late) != nil { // somebody does not read what he asked for
		_ = server.Close()
	}
	<-served
	return closed
}

// ServeHTTP answers one request. Everything that can be refused is refused before the body is read.
func (c *Control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := newAnswer(w, c.config.Log)
	err := c.serve(r, a)
	if err == nil {
		return
	}
	if errors.Is(err, errGone) {
		return // nobody is there to hear it
	}
	var no *refusal
	if errors.As(err, &no) {
		a.refuse(no)
		return
	}
	code := ""
	if c.config.Code != nil {
		code = c.config.Code(err)
	}
	if code == "" {
		code = "internal"
	}
	a.fail(RemoteError{Code: code, Message: err.Error()})
}

func (c *Control) serve(r *http.Request, a *answer) error {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	default:
		return &refusal{http.StatusServiceUnavailable, "overloaded", fmt.Sprintf("%d requests are being answered already", cap(c.slots))}
	}
	if no := c.admit(r); no != nil {
		return no
	}
	verb := c.verbs[strings.TrimPrefix(r.URL.Path, prefix)]
	body, err := c.body(r, a)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stop := a.beat(c.config.Limits.Beat)
	defer stop()
	return c.guarded(ctx, verb, body, a)
}

// guarded turns a panic of a verb into the end of its request instead of the process.
func (c *Control) guarded(ctx context.Context, verb func(context.Context, []byte, *answer) error, body []byte, a *answer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.config.Log.Error("control request panicked", "panic", p, "stack", string(debug.Stack()))
			err = errors.New("the node made a mistake; its log says more")
		}
	}()
	return verb(ctx, body, a)
}

// admit looks at everything but the body.
func (c *Control) admit(r *http.Request) *refusal {
	if r.Host != Host {
		return &refusal{http.StatusForbidden, "forbidden", "this is not for browsers: wrong host"}
	}
	for _, h := range []string{"Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"} {
		if _, sent := r.Header[h]; sent {
			return &refusal{http.StatusForbidden, "forbidden", "this is not for browsers: " + h}
		}
	}
	verb, ours := strings.CutPrefix(r.URL.Path, prefix)
	if _, known := c.verbs[verb]; !ours || !known || r.URL.RawQuery != "" {
		return &refusal{http.StatusNotFound, "unknown", "there is no such verb"}
	}
	if r.Method != http.MethodPost {
		return &refusal{http.StatusMethodNotAllowed, "method", "use POST"}
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return &refusal{http.StatusUnsupportedMediaType, "media", "the content type must be application/json"}
	}
	if r.Header.Get("Content-Encoding") != "" {
		return &refusal{http.StatusUnsupportedMediaType, "media", "the body must not be encoded"}
	}
	return nil
}

// body reads the request to its end, which is also what lets the server notice that the client hung up.
func (c *Control) body(r *http.Request, a *answer) ([]byte, error) {
	large := &refusal{http.StatusRequestEntityTooLarge, "large", fmt.Sprintf("the request is longer than %d bytes", c.config.Limits.Body)}
	if r.ContentLength > c.config.Limits.Body {
		return nil, large
	}
	_ = a.control.SetReadDeadline(time.Now().Add(c.config.Limits.Header))
	body, err := io.ReadAll(http.MaxBytesReader(a.w, r.Body, c.config.Limits.Body))
	var longer *http.MaxBytesError
	switch {
	case errors.As(err, &longer):
		return nil, large
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &refusal{http.StatusRequestTimeout, "timeout", "the request took too long to come in"}
	case err != nil:
		return nil, &refusal{http.StatusBadRequest, "malformed", "the request ended early"}
	}
	_ = a.control.SetReadDeadline(time.Time{})
	return body, nil
}

// refusal is the answer to a request that is not carried out.
type refusal struct {
	status  int
	code    string
	message string
}

func (r *refusal) Error() string { return r.message }

// RemoteError is how a request ended badly on the other side of the socket.
type RemoteError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *RemoteError) Error() string { return e.Message }

// line is one line of an answer; one field is set.
type line struct {
	Event  json.RawMessage `json:"event,omitempty"`
	Data   int64           `json:"data,omitempty"`
	Beat   bool            `json:"beat,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *RemoteError    `json:"error,omitempty"`
}
