package testnet

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/shoal-p2p/shoal/gateway"
)

// What the keeper of a Net's namespaces has in the Net's folder.
const (
	keeperSocket = linksName + "/control.sock"
	keeperLog    = linksName + "/keep.log"
)

// Keep holds the namespaces and the links of the Net in a folder until ctx ends, and carries what passes them. Other processes
// of the program have it change them through a socket in that folder. When the process ends, however that happens, the kernel
// takes everything away.
func Keep(ctx context.Context, dir string) error {
	f, err := newFabric()
	if err != nil {
		return err
	}
	k := &keeper{fabric: f}
	c := gateway.NewControl(gateway.Config{Socket: filepath.Join(dir, keeperSocket), Code: codeOf})
	gateway.Handle(c, "put", k.put)
	gateway.Handle(c, "find", k.find)
	gateway.Handle(c, "shape", k.shape)
	gateway.Handle(c, "cut", k.cut)
	return errors.Join(c.Run(ctx), f.close())
}

// keeper lets one request at a time change a fabric.
type keeper struct {
	mu     sync.Mutex // guards fabric
	fabric *fabric
}

// What the keeper is asked, beside a place, and answers.
type (
	siteNamed struct {
		Name string `json:"name"`
	}
	newShape struct {
		Name string `json:"name"`
		Link Link   `json:"link"`
	}
	newSides struct {
		Sides [][]string `json:"sides"`
	}
	// opening is the file by which a site's namespace can be entered.
	opening struct {
		Path string `json:"path"`
	}
)

func (k *keeper) put(_ context.Context, p place, _ func(any)) (opening, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, err := k.fabric.put(p)
	if err != nil {
		return opening{}, err
	}
	return s.opening(), nil
}

func (k *keeper) find(_ context.Context, r siteNamed, _ func(any)) (opening, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.fabric.site(r.Name)
	if s == nil {
		return opening{}, fmt.Errorf("%w: %s has no place here: it has not been started yet", ErrRequest, r.Name)
	}
	return s.opening(), nil
}

func (s *site) opening() opening { return opening{s.node.path()} }

func (k *keeper) shape(_ context.Context, r newShape, _ func(any)) (none, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return none{}, k.fabric.shape(r.Name, r.Link)
}

func (k *keeper) cut(_ context.Context, r newSides, _ func(any)) (none, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return none{}, k.fabric.cut(r.Sides)
}

// Codes under which errors of the keeper travel.
const (
	codeRequest = "request"
	codeGround  = "ground"
)

func codeOf(err error) string {
	switch {
	case errors.Is(err, ErrRequest):
		return codeRequest
	case errors.Is(err, ErrGround):
		return codeGround
	}
	return ""
}

// askKeeper has the keeper of the Net in a folder do something. It returns gateway.ErrNoNode if there is none.
func askKeeper[Req, Res any](dir, verb string, req Req) (Res, error) {
	res, err := call[Req, Res](context.Background(), filepath.Join(dir, keeperSocket), verb, req, nil)
	var remote *gateway.RemoteError
	if errors.As(err, &remote) {
		return res, &keeperError{remote}
	}
	return res, err
}

// keeperError is an error of the keeper with what it means here.
type keeperError struct{ *gateway.RemoteError }

func (e *keeperError) Is(target error) bool {
	return e.Code == codeRequest && target == ErrRequest || e.Code == codeGround && target == ErrGround
}
