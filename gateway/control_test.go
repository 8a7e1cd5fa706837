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
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// errCode lets a test's errors travel under a code.
type errCode string

func (e errCode) Error() string { return "it is " + string(e) }

func codeOf(err error) string {
	var e errCode
	if errors.As(err, &e) {
		return string(e)
	}
	return ""
}

type ask struct {
	Name  string   `json:"name"`
	Count int      `json:"count,omitempty"`
	List  []string `json:"list,omitempty"`
	Ratio float64  `json:"ratio,omitempty"`
}

type reply struct {
	Said string `json:"said"`
}

type happening struct {
	N int `json:"n"`
}

// served is a control server that runs as long as its test.
type served struct {
	*Control
	socket string
	stop   func()        // ends it and waits
	held   chan struct{} // one token for each request that "hold" is holding
	let    chan struct{} // closed: "hold" lets go
	gone   chan struct{} // one token for each request of "hold" that was cancelled
}

func serve(t testing.TB, limits Limits) *served {
	t.Helper()
	home := filepath.Join(t.TempDir(), "home")
	s := &served{
		socket: filepath.Join(home, "control.sock"),
		held:   make(chan struct{}, 1000), let: make(chan struct{}), gone: make(chan struct{}, 1000),
	}
	s.Control = NewControl(Config{Socket: s.socket, Code: codeOf, Limits: limits})
	s.register()
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run ended with %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Run did not end within 10 s of its context")
		}
	})
	t.Cleanup(s.stop)
	return s
}

func (s *served) register() {
	Handle(s.Control, "echo", func(_ context.Context, r ask, emit func(any)) (reply, error) {
		for i := range r.Count {
			emit(happening{i})
		}
		return reply{r.Name}, nil
	})
	Handle(s.Control, "fail", func(_ context.Context, r ask, emit func(any)) (reply, error) {
		emit(happening{1})
		if r.Name == "" {
			return reply{}, errors.New("it has no code")
		}
		return reply{}, fmt.Errorf("wrapped: %w", errCode(r.Name))
	})
	Handle(s.Control, "panic", func(context.Context, ask, func(any)) (reply, error) { panic("on purpose") })
	Handle(s.Control, "hold", func(ctx context.Context, _ ask, _ func(any)) (reply, error) {
		s.held <- struct{}{}
		select {
		case <-s.let:
			return reply{"let go"}, nil
		case <-ctx.Done():
			s.gone <- struct{}{}
			return reply{}, errCode("stopped")
		}
	})
	HandleStream(s.Control, "bytes", func(_ context.Context, r ask, w io.Writer, emit func(any)) error {
		for i := range r.Count {
			emit(happening{i})
			if _, err := w.Write(bytes.Repeat([]byte{byte(i)}, 100_000)); err != nil {
				return err
			}
		}
		if r.Name != "" {
			return errCode(r.Name)
		}
		return nil
	})
}

func (s *served) dial(t testing.TB) *Client {
	t.Helper()
	c, err := Dial(s.socket)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// raw sends text as it is and returns the answer; the connection is then closed.
func (s *served) raw(t testing.TB, text string) (status int, body string) {
	t.Helper()
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go io.Copy(c, strings.NewReader(text)) // may break off when the server has seen enough
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("no answer to %.80q: %v", text, err)
	}
	defer r.Body.Close()
	all, err := io.ReadAll(r.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("answer to %.80q: %v", text, err)
	}
	return r.StatusCode, string(all)
}

func post(verb, body string, headers ...string) string {
	h := "POST /v1/" + verb + " HTTP/1.1\r\nHost: shoal\r\nContent-Type: application/json\r\n"
	for _, x := range headers {
		h += x + "\r\n"
	}
	return h + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
}

func TestCallBringsBackEventsInOrderAndTheResult(t *testing.T) {
	s := serve(t, Limits{})
	var events []int
	got, err := Call[ask, reply](t.Context(), s.dial(t), "echo", ask{Name: "ünï\x1b\u2028", Count: 5000}, func(e json.RawMessage) {
		var h happening
		if err := json.Unmarshal(e, &h); err != nil {
			t.Errorf("event %q: %v", e, err)
		}
		events = append(events, h.N)
	})
	if err != nil || got.Said != "ünï\x1b\u2028" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if len(events) != 5000 || !slices.IsSorted(events) {
		t.Errorf("got %d events, sorted %v; want 5000 in order", len(events), slices.IsSorted(events))
	}
}

func TestErrorsKeepTheirCode(t *testing.T) {
	s := serve(t, Limits{})
	for name, want := range map[string]RemoteError{
		"notfound": {"notfound", "wrapped: it is notfound"},
		"":         {"internal", "it has no code"},
	} {
		_, err := Call[ask, reply](t.Context(), s.dial(t), "fail", ask{Name: name}, nil)
		var remote *RemoteError
		if !errors.As(err, &remote) || *remote != want {
			t.Errorf("got %#v, want %+v", err, want)
		}
	}
}

func TestStreamBringsBytesBetweenEvents(t *testing.T) {
	s := serve(t, Limits{})
	var got bytes.Buffer
	events := 0
	err := Stream(t.Context(), s.dial(t), "bytes", ask{Count: 50, Name: "halfway"}, &got, func(json.RawMessage) {
		if got.Len() != events*100_000 {
			t.Fatalf("event %d came after %d bytes", events, got.Len())
		}
		events++
	})
	var remote *RemoteError
	if !errors.As(err, &remote) || remote.Code != "halfway" {
		t.Errorf("got %v, want the error from behind the bytes", err)
	}
	if events != 50 || got.Len() != 5_000_000 || got.Bytes()[4_999_999] != 49 {
		t.Errorf("got %d events and %d bytes, want 50 and 5000000", events, got.Len())
	}
}

func TestStreamEndsWithTheErrorOfItsWriter(t *testing.T) {
	s := serve(t, Limits{})
	r, w := io.Pipe()
	r.Close()
	if err := Stream(t.Context(), s.dial(t), "bytes", ask{Count: 1000}, w, nil); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want the writer's own error", err)
	}
}

func TestPanicCostsOneRequest(t *testing.T) {
	s := serve(t, Limits{})
	_, err := Call[ask, reply](t.Context(), s.dial(t), "panic", ask{}, nil)
	var remote *RemoteError
	if !errors.As(err, &remote) || remote.Code != "internal" || strings.Contains(remote.Message, "on purpose") {
		t.Errorf("got %v, want an internal error without the panic's text", err)
	}
	if _, err := Call[ask, reply](t.Context(), s.dial(t), "echo", ask{}, nil); err != nil {
		t.Errorf("the next request: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	s := serve(t, Limits{Header: 5 * time.Second})
	body := `{"name":"x"}`
	long := strings.Repeat("a", 1<<20)
	for _, c := range []struct {
		name, text string
		want       int
	}{
		{"a sound request", post("echo", body), 200},
		{"with a charset", strings.Replace(post("echo", body), "application/json", "application/json; charset=utf-8", 1), 200},
		{"the host of a web page", strings.Replace(post("echo", body), "Host: shoal", "Host: evil.example:4001", 1), 403},
		{"localhost", strings.Replace(post("echo", body), "Host: shoal", "Host: localhost", 1), 403},
		{"the host with a dot", strings.Replace(post("echo", body), "Host: shoal", "Host: shoal.", 1), 403},
		{"the host with a port", strings.Replace(post("echo", body), "Host: shoal", "Host: shoal:80", 1), 403},
		{"an empty host", strings.Replace(post("echo", body), "Host: shoal", "Host:", 1), 403},
		{"no host", strings.Replace(post("echo", body), "Host: shoal\r\n", "", 1), 400},
		{"two hosts", post("echo", body, "Host: shoal"), 400},
		{"another absolute URI", strings.Replace(post("echo", body), "/v1/echo", "http://evil.example/v1/echo", 1), 403},
		{"an origin", post("echo", body, "Origin: http://shoal"), 403},
		{"a null origin", post("echo", body, "Origin: null"), 403},
		{"an empty origin", post("echo", body, "Origin:"), 403},
		{"a referer", post("echo", body, "Referer: http://shoal/"), 403},
		{"fetch metadata", post("echo", body, "Sec-Fetch-Site: same-origin"), 403},
		{"GET", strings.Replace(post("echo", body), "POST", "GET", 1), 405},
		{"PUT", strings.Replace(post("echo", body), "POST", "PUT", 1), 405},
		{"OPTIONS", strings.Replace(post("echo", body), "POST", "OPTIONS", 1), 405},
		{"an unknown verb", post("nothing", body), 404},
		{"no verb", post("", body), 404},
		{"a path above", post("../v1/echo", body), 404},
		{"a query", post("echo?x=1", body), 404},
		{"another version", strings.Replace(post("echo", body), "/v1/", "/v2/", 1), 404},
		{"plain text", strings.Replace(post("echo", body), "application/json", "text/plain", 1), 415},
		{"a form", strings.Replace(post("echo", body), "application/json", "application/x-www-form-urlencoded", 1), 415},
		{"no content type", strings.Replace(post("echo", body), "Content-Type: application/json\r\n", "", 1), 415},
		{"an encoded body", post("echo", body, "Content-Encoding: gzip"), 415},
		{"a body of 1 MiB", post("echo", `{"name":"`+long[:1<<20-len(`{"name":""}`)]+`"}`), 200},
		{"a body of 1 MiB and 1 byte", post("echo", `{"name":"`+long[:1<<20-len(`{"name":""}`)+1]+`"}`), 413},
		{"headers of 1 MiB", post("echo", body, "X: "+long), 431},
		{"an empty body", post("echo", ""), 400},
		{"half a body", post("echo", `{"name":`), 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, answer := s.raw(t, c.text)
			if status != c.want {
				t.Errorf("got %d %.200s, want %d", status, answer, c.want)
			}
			if c.want >= 402 && c.want != 431 && !strings.HasPrefix(answer, `{"error":{"code":"`) {
				t.Errorf("the refusal is not an error line: %q", answer)
			}
			if strings.Contains(answer, "aaaaaaaaaa") && c.want != 200 {
				t.Error("the refusal repeats the request")
			}
		})
	}
}

// TestLargeBodies announces too much without sending any of it, and then sends too much without announcing it.
func TestLargeBodies(t *testing.T) {
	s := serve(t, Limits{Header: time.Hour})
	head := "POST /v1/echo HTTP/1.1\r\nHost: shoal\r\nContent-Type: application/json\r\n"
	for _, text := range []string{
		head + "Content-Length: 1073741824\r\n\r\n",
		head + "Transfer-Encoding: chunked\r\n\r\n100001\r\n" + strings.Repeat(" ", 0x100001) + "\r\n",
	} {
		if status, _ := s.raw(t, text); status != 413 {
			t.Errorf("%.120q: got %d, want 413", text, status)
		}
	}
}

func TestNoCORS(t *testing.T) {
	s := serve(t, Limits{})
	for _, origin := range []string{"null", "http://evil.example", "http://localhost:1"} {
		req, _ := http.NewRequest(http.MethodOptions, "http://shoal/v1/echo", nil)
		req.Header.Set("Origin", origin)
		res, err := s.dial(t).http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		for h := range res.Header {
			if strings.HasPrefix(h, "Access-Control-") {
				t.Errorf("origin %s: answered with %s", origin, h)
			}
		}
	}
}

// slow sends text and nothing more, and returns how long the server put up with it.
func (s *served) slow(t *testing.T, text string) time.Duration {
	t.Helper()
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	start := time.Now()
	io.WriteString(c, text)
	c.SetReadDeadline(start.Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the server still waits after 10 s for the rest of %.40q", text)
	}
	return time.Since(start)
}

func TestSlowRequestsAreCutOff(t *testing.T) {
	const limit = 200 * time.Millisecond
	s := serve(t, Limits{Header: limit})
	for _, text := range []string{"", "POST /v1/ec", post("echo", "")[:40], strings.Replace(post("echo", ""), ": 0", ": 50", 1) + `{"name"`} {
		if took := s.slow(t, text); took < limit/2 || took > limit+2*time.Second {
			t.Errorf("%.40q: cut off after %v, want about %v", text, took, limit)
		}
	}
}

func TestDefaultLimits(t *testing.T) {
	want := Limits{Body: 1 << 20, Clients: 64, Header: 5 * time.Second, Beat: 2 * time.Second}
	if got := (Limits{}).withDefaults(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestMoreThan64RequestsAreTurnedAway(t *testing.T) {
	s := serve(t, Limits{})
	client := s.dial(t)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if _, err := Call[ask, reply](t.Context(), client, "hold", ask{}, nil); err != nil {
				t.Errorf("one of the 64: %v", err)
			}
		})
	}
	for range 64 {
		<-s.held
	}
	_, err := Call[ask, reply](t.Context(), client, "echo", ask{}, nil)
	var remote *RemoteError
	if !errors.As(err, &remote) || remote.Code != "overloaded" {
		t.Errorf("the 65th: got %v, want overloaded", err)
	}
	close(s.let)
	wg.Wait()
	if _, err := Call[ask, reply](t.Context(), client, "echo", ask{}, nil); err != nil {
		t.Errorf("after the 64 are gone: %v", err)
	}
}

func TestIdleCrowdIsClosedUnread(t *testing.T) {
	s := serve(t, Limits{Clients: 4, Header: time.Minute})
	var idle []net.Conn
	defer func() {
		for _, c := range idle {
			c.Close()
		}
	}()
	for range 4*crowd + 20 {
		c, err := net.Dial("unix", s.socket)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	last := idle[len(idle)-1]
	last.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := last.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the last of the crowd: got %v, want a closed connection", err)
	}
	for _, c := range idle {
		c.Close()
	}
	for { // the places come back as the server sees the connections close
		if _, err := Call[ask, reply](t.Context(), s.dial(t), "echo", ask{}, nil); err == nil {
			return
		} else if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestClientThatLeavesCancelsItsRequest(t *testing.T) {
	s := serve(t, Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := Call[ask, reply](ctx, s.dial(t), "hold", ask{}, nil)
		done <- err
	}()
	<-s.held
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the client got %v", err)
	}
	select {
	case <-s.gone:
	case <-time.After(10 * time.Second):
		t.Error("the request goes on 10 s after its client left")
	}
}

func TestServerThatStopsSaysHowRequestsEnded(t *testing.T) {
	s := serve(t, Limits{})
	done := make(chan error, 1)
	go func() {
		_, err := Call[ask, reply](t.Context(), s.dial(t), "hold", ask{}, nil)
		done <- err
	}()
	<-s.held
	go s.stop()
	var remote *RemoteError
	if err := <-done; !errors.As(err, &remote) || remote.Code != "stopped" {
		t.Errorf("got %v, want the handler's own error", err)
	}
	if _, err := Dial(s.socket); !errors.Is(err, ErrNoNode) { // who comes back at once must not meet the same server
		t.Errorf("dial afterwards: got %v, want ErrNoNode", err)
	}
	s.stop()
	if _, err := os.Lstat(s.socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// TestStopDoesNotWaitForASlowReader has a client that asks for much and reads nothing.
func TestStopDoesNotWaitForASlowReader(t *testing.T) {
	s := serve(t, Limits{})
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, post("bytes", `{"name":"","count":100000}`))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	s.stop()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

func TestSlowReaderSlowsOnlyItself(t *testing.T) {
	s := serve(t, Limits{})
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, post("echo", `{"name":"slow","count":100000}`))
	for range 10 {
		if _, err := Call[ask, reply](t.Context(), s.dial(t), "echo", ask{Count: 10}, nil); err != nil {
			t.Fatal(err)
		}
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	all, err := io.ReadAll(r.Body)
	if n := bytes.Count(all, []byte(`{"event":`)); err != nil || n != 100000 {
		t.Errorf("the slow reader got %d events (%v), want all 100000", n, err)
	}
}

func TestSilentRequestBeats(t *testing.T) {
	s := serve(t, Limits{Beat: 10 * time.Millisecond})
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, post("hold", `{"name":""}`))
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	for range 5 {
		if !lines.Scan() || lines.Text() != `{"beat":true}` {
			t.Fatalf("got %q, want a beat", lines.Text())
		}
	}
	close(s.let)
	for lines.Scan() && lines.Text() == `{"beat":true}` {
	}
	if lines.Text() != `{"result":{"said":"let go"}}` {
		t.Errorf("after the beats came %q, want the result", lines.Text())
	}
}

func TestNodeThatFallsSilentIsGivenUp(t *testing.T) {
	s := serve(t, Limits{Beat: time.Hour})
	c := s.dial(t)
	c.patience = 100 * time.Millisecond
	if _, err := Call[ask, reply](t.Context(), c, "hold", ask{}, nil); !errors.Is(err, ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
}

func TestSlowUseOfEventsIsNotSilence(t *testing.T) {
	s := serve(t, Limits{})
	c := s.dial(t)
	c.patience = 500 * time.Millisecond
	slow := sync.OnceFunc(func() { time.Sleep(c.patience + 200*time.Millisecond) })
	// More events than fit into buffers, so that the client has to read on after its rest.
	if _, err := Call[ask, reply](t.Context(), c, "echo", ask{Count: 100_000}, func(json.RawMessage) { slow() }); err != nil {
		t.Errorf("got %v: the client took its own slowness for the node's", err)
	}
}

// TestBrokenNodes has servers that are no nodes of ours, or die.
func TestBrokenNodes(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		want         error
	}{
		{"says nothing", "", ErrLost},
		{"is no HTTP", "hello\r\n\r\n", ErrLost},
		{"dies before the result", "HTTP/1.1 200 OK\r\n\r\n{\"event\":{}}\n", ErrLost},
		{"dies within a line", "HTTP/1.1 200 OK\r\n\r\n{\"resu", ErrLost},
		{"dies within the bytes", "HTTP/1.1 200 OK\r\n\r\n{\"data\":10}\nabc", ErrLost},
		{"is no JSON", "HTTP/1.1 200 OK\r\n\r\nhello\n", nil},
		{"answers with something else", "HTTP/1.1 200 OK\r\n\r\n{\"result\":[1]}\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() {
				for range 2 { // the look, and the request
					conn, err := l.Accept()
					if err != nil {
						return
					}
					r := bufio.NewReader(conn)
					if req, err := http.ReadRequest(r); err == nil {
						io.Copy(io.Discard, req.Body)
						io.WriteString(conn, c.answer)
					}
					conn.Close()
				}
			})
			client, err := Dial(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Call[ask, reply](t.Context(), client, "echo", ask{}, nil)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}
