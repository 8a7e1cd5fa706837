package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// ErrLost means that the node went away before it had answered.
var ErrLost = errors.New("the node went away")

// Client asks the node behind a control socket.
type Client struct {
	http     *http.Client
	patience time.Duration // without a word, before the node is given up
}

// Dial looks whether a node listens on the socket. It returns ErrNoNode if nobody does, and ErrRefused if it is another
// user's. There is nothing to close.
func Dial(socket string) (*Client, error) {
	c, err := connect(socket)
	if err != nil {
		return nil, err
	}
	c.Close()
	transport := &http.Transport{
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return connect(socket) },
		DisableKeepAlives:  true,
		DisableCompression: true,
	}
	return &Client{http: &http.Client{Transport: transport}, patience: lostBeats * defaultBeat}, nil
}

// Call asks for a verb and returns its result. Events go to onEvent, unless that is nil. Errors: *RemoteError as the node gave
// it, ErrLost, ErrNoNode, and the context's.
func Call[Req, Res any](ctx context.Context, c *Client, verb string, req Req, onEvent func(json.RawMessage)) (Res, error) {
	var res Res
	text, err := c.ask(ctx, verb, req, io.Discard, onEvent)
	if err != nil {
		return res, err
	}
	if err := json.Unmarshal(text, &res); err != nil {
		return res, fmt.Errorf("the node's answer is not understood: %w", err)
	}
	return res, nil
}

// Stream asks for a verb that answers with bytes, and writes them to w. An error of w ends it.
func Stream[Req any](ctx context.Context, c *Client, verb string, req Req, w io.Writer, onEvent func(json.RawMessage)) error {
	_, err := c.ask(ctx, verb, req, w, onEvent)
	return err
}

func (c *Client) ask(ctx context.Context, verb string, req any, w io.Writer, onEvent func(json.RawMessage)) (json.RawMessage, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(c.patience, func() {
		cancel(fmt.Errorf("%w: not a word for %v", ErrLost, c.patience))
	})
	defer watch.Stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+Host+prefix+verb, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, lost(ctx, err)
	}
	defer answer.Body.Close()
	if onEvent == nil {
		onEvent = func(json.RawMessage) {}
	}
	in := &listening{ctx: ctx, r: bufio.NewReaderSize(answer.Body, 64<<10), watch: watch, patience: c.patience}
	return in.hear(w, onEvent)
}

// lost says why an answer broke off.
func lost(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if errors.Is(err, ErrNoNode) || errors.Is(err, ErrRefused) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}

// listening reads one answer. The watch runs only while it waits for the node, not while what came is being used.
type listening struct {
	ctx      context.Context
	r        *bufio.Reader
	watch    *time.Timer
	patience time.Duration
}

func (in *listening) hear(w io.Writer, onEvent func(json.RawMessage)) (json.RawMessage, error) {
	for {
		text, err := in.line()
		if err != nil {
			return nil, lost(in.ctx, err)
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, fmt.Errorf("the node's answer is not understood: %w", err)
		}
		switch {
		case l.Error != nil:
			return nil, l.Error
		case l.Result != nil:
			return l.Result, nil
		case l.Event != nil:
			onEvent(l.Event)
		case l.Data > 0:
			if err := in.copy(w, l.Data); err != nil {
				return nil, err
			}
		}
	}
}

// line reads up to the next newline.
func (in *listening) line() ([]byte, error) {
	in.watch.Reset(in.patience)
	defer in.watch.Stop()
	var whole []byte
	for {
		part, err := in.r.ReadSlice('\n')
		if err == nil && whole == nil {
			return part, nil
		}
		whole = append(whole, part...)
		if err == nil {
			return whole, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		if len(whole) > maxLine {
			return nil, errors.New("a line without an end")
		}
	}
}

// copy passes n bytes on to w.
func (in *listening) copy(w io.Writer, n int64) error {
	buf := make([]byte, min(n, 256<<10))
	for n > 0 {
		part := buf[:min(n, int64(len(buf)))]
		in.watch.Reset(in.patience)
		_, err := io.ReadFull(in.r, part)
		in.watch.Stop()
		if err != nil {
			return lost(in.ctx, err)
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
		n -= int64(len(part))
	}
	return nil
}
