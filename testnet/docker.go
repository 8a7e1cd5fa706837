package testnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
)

// docker asks the Docker of this machine, by the HTTP API on its socket. Only calls that have not changed for years are used, so
// they name no version.
type docker struct {
	socket string
	far    error // why there is none on this machine
	http   http.Client
}

// maxAnswer is how much is read of an answer of Docker's: the list of a thousand containers takes about a megabyte.
const maxAnswer = 16 << 20 // bytes

// newDocker finds the socket where the docker command does.
func newDocker() *docker {
	d := &docker{socket: "/var/run/docker.sock"}
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		path, local := strings.CutPrefix(host, "unix://")
		if !local {
			d.far = fmt.Errorf("%w: %w, and DOCKER_HOST is %s: unset it", ErrGround, errFar, host)
		}
		d.socket = path
	}
	d.http.Transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", d.socket)
		},
		DisableKeepAlives: true, // nobody closes a docker
	}
	return d
}

var errFar = errors.New("containers must be on this machine")

// dockerError is a refusal of Docker's.
type dockerError struct {
	status int // of HTTP
	text   string
}

func (e *dockerError) Error() string { return e.text }

// missing reports whether Docker does not have what it was asked about.
func missing(err error) bool {
	var d *dockerError
	return errors.As(err, &d) && d.status == http.StatusNotFound
}

// absent reports whether this user has no Docker here that answers.
func absent(err error) bool {
	return errors.Is(err, errFar) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ECONNREFUSED)
}

// ask sends what, as JSON unless it is an io.Reader, and reads the answer into res, which may be nil.
func (d *docker) ask(ctx context.Context, method, path string, what, res any) error {
	if d.far != nil {
		return d.far
	}
	body, is := what.(io.Reader)
	if !is && what != nil {
		text, err := json.Marshal(what)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, body)
	if err != nil {
		return err
	}
	if !is && what != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := d.http.Do(r)
	if err != nil {
		return d.explain(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the answer of Docker: %w", err)
	}
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		var said struct{ Message string }
		if json.Unmarshal(text, &said) != nil || said.Message == "" {
			said.Message = strings.TrimSpace(string(text))
		}
		return &dockerError{answer.StatusCode, fmt.Sprintf("docker: %s", said.Message)}
	}
	if res == nil {
		return nil
	}
	if err := json.Unmarshal(text, res); err != nil {
		return fmt.Errorf("the answer of Docker is not understood: %w", err)
	}
	return nil
}

// explain says what to do when there is no Docker.
func (d *docker) explain(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err // the address says nothing to a user
	}
	next := ""
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		next = "install Docker and start it, or choose another ground"
	case errors.Is(err, fs.ErrPermission):
		next = "join the group docker and log in again, or choose another ground"
	default:
		return fmt.Errorf("ask Docker: %w", err)
	}
	return fmt.Errorf("%w: Docker does not answer at %s: %s (%w)", ErrGround, d.socket, next, err)
}

// labelled lists what a label is on: the names of networks, or the IDs of containers.
func (d *docker) labelled(ctx context.Context, kind, label string) (out []string, err error) {
	filters, err := json.Marshal(map[string][]string{"label": {label}})
	if err != nil {
		return nil, err
	}
	var found []struct{ ID, Name string }
	query := url.Values{"filters": {string(filters)}, "all": {"true"}}
	if err := d.ask(ctx, http.MethodGet, "/"+kind+"?"+query.Encode(), nil, &found); err != nil {
		return nil, err
	}
	for _, f := range found {
		if f.Name == "" {
			f.Name = f.ID
		}
		out = append(out, f.Name)
	}
	return out, nil
}
