package testnet

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// containers is the ground on which each node is a container of this machine's Docker. Its image is empty: the program and the
// Net's folder are mounted, under the paths that they have here. So files and control sockets are called the same inside and
// outside, and a container's process is one of this user on this machine.
//
// Each network is one of Docker's. A node leaves the network on its side of a partition, and comes back with its address.
type containers struct {
	processes
	docker *docker

	mu       sync.Mutex              // held while the image and networks are made
	imported bool                    // the image is there
	subnets  map[string]netip.Prefix // of the networks that are there
}

// Of what Docker keeps for a Net, all has the Net's name in its own, and what can have labels has this one.
const containerLabel = "shoal.testnet"

// IntoVerb is a command of the program that users do not call: IntoVerb FILE -- ARGS, which is Into.
const IntoVerb = "testnet-into"

// dockerPatience is how long Docker may take for one thing.
const dockerPatience = time.Minute

func newContainers(s *state) ground {
	return &containers{processes: processes{s}, docker: newDocker(), subnets: make(map[string]netip.Prefix)}
}

// name is what something of the Net is called among everything that Docker has.
func (g *containers) name(of string) string {
	sum := sha256.Sum256([]byte(g.net.dir))
	return fmt.Sprintf("shoal-%x-%s", sum[:4], of)
}

func (g *containers) label() string { return containerLabel + "=" + g.net.dir }

// suits implements ground.
func (g *containers) suits(s Spec) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("%w: containers need Linux here, for their processes are looked at from outside: run it in a virtual machine", ErrGround)
	}
	if g.docker.far != nil {
		return g.docker.far
	}
	if s.NAT != "" {
		return fmt.Errorf("%w: node %s: there is no router before a container: choose namespaces (up --netns, run --on namespaces)", ErrGround, s.Name)
	}
	if err := suitsContainer(s.Link); err != nil {
		return fmt.Errorf("node %s: %w", s.Name, err)
	}
	for _, network := range s.Networks {
		if err := CheckName(network); err != nil {
			return err
		}
	}
	if err := static(g.net.Shoal); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), dockerPatience)
	defer cancel()
	return g.docker.ask(ctx, http.MethodGet, "/_ping", nil, nil)
}

// static says why the program cannot run where there is nothing else, or returns nil.
func static(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%w: the program %s cannot run in a container: %w", ErrGround, path, err)
	}
	defer f.Close()
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return fmt.Errorf("%w: the program %s needs libraries, and a container has none: build it with CGO_ENABLED=0, as make build does", ErrGround, path)
	}
	return nil
}

// start implements ground.
func (g *containers) start(n *Node, args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), dockerPatience)
	defer cancel()
	name := g.name(n.Name)
	networks, err := g.networksNow(ctx, name)
	if missing(err) {
		networks, err = g.networksOn(n, 0), nil
	}
	if err == nil {
		err = g.prepare(ctx, networks)
	}
	if err == nil {
		err = g.remove(ctx, name)
	}
	if err != nil {
		return err
	}
	if err := g.docker.ask(ctx, http.MethodPost, "/containers/create?name="+name, g.container(n, networks[0], args), nil); err != nil {
		return err
	}
	for _, other := range networks[1:] {
		if err := g.connect(ctx, n, other); err != nil {
			return err
		}
	}
	if err := g.docker.ask(ctx, http.MethodPost, "/containers/"+name+"/start", nil, nil); err != nil {
		return err
	}
	var seen struct{ State struct{ Pid int } }
	if err := g.docker.ask(ctx, http.MethodGet, "/containers/"+name+"/json", nil, &seen); err != nil {
		return err
	}
	n.PID = seen.State.Pid
	n.Born, _ = bornAt(n.PID) // it cannot be looked at if it has ended, and then it is not running
	if n.Link == (Link{}) {
		return nil
	}
	return g.shape(n, n.Link)
}

// container is what Docker is asked to make.
func (g *containers) container(n *Node, network string, args []string) any {
	type object = map[string]any
	return object{
		"Image":      g.image(),
		"Entrypoint": []string{programPath, IntoVerb, n.Log, "--"},
		"Cmd":        append([]string{"--home", n.Home}, args...),
		"User":       fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()),
		"Env":        []string{marker(g.net.dir), "PATH=/bin"},
		"Hostname":   n.Name,
		"Labels":     object{containerLabel: g.net.dir},
		"HostConfig": object{
			"Mounts": []object{
				{"Type": "bind", "Source": g.net.dir, "Target": g.net.dir},
				{"Type": "bind", "Source": g.net.Shoal, "Target": programPath, "ReadOnly": true},
			},
			"NetworkMode":    network,
			"ReadonlyRootfs": true,
			"CapDrop":        []string{"ALL"},
			"SecurityOpt":    []string{"no-new-privileges"},
			"LogConfig":      object{"Type": "none"},
		},
		"NetworkingConfig": object{"EndpointsConfig": object{network: g.endpoint(n, network)}},
	}
}

// programPath is where the program is in each container.
const programPath = "/bin/shoal"

// command implements ground.
func (g *containers) command(n *Node, args ...string) *exec.Cmd {
	return exec.Command("docker", slices.Concat([]string{"exec", "--interactive", g.name(n.Name), programPath, "--home", n.Home}, args)...)
}

// clear implements ground.
func (g *containers) clear(ctx context.Context) error {
	found, err := g.docker.labelled(ctx, "containers/json", g.label())
	switch {
	case absent(err) && (g.net.Ground != Containers || len(g.net.Nodes) == 0):
		return nil // nothing was made in a Docker that is not there
	case err != nil:
		return err
	}
	for _, id := range found {
		err = errors.Join(err, g.remove(ctx, id))
	}
	networks, listed := g.docker.labelled(ctx, "networks", g.label())
	err = errors.Join(err, listed)
	for _, name := range networks {
		if gone := g.docker.ask(ctx, http.MethodDelete, "/networks/"+name, nil, nil); !missing(gone) {
			err = errors.Join(err, gone)
		}
	}
	if gone := g.docker.ask(ctx, http.MethodDelete, "/images/"+g.image(), nil, nil); !missing(gone) {
		err = errors.Join(err, gone)
	}
	return err
}

// remove takes a container away, if it is there.
func (g *containers) remove(ctx context.Context, name string) error {
	err := g.docker.ask(ctx, http.MethodDelete, "/containers/"+name+"?force=true&v=true", nil, nil)
	if missing(err) {
		return nil
	}
	return err
}

// image is the name of the Net's own.
func (g *containers) image() string { return "shoal-testnet:" + g.name("empty") }

// prepare makes the image and networks that are not there yet.
func (g *containers) prepare(ctx context.Context, networks []string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.imported {
		err := g.docker.ask(ctx, http.MethodGet, "/images/"+g.image()+"/json", nil, nil)
		if missing(err) {
			err = g.importImage(ctx)
		}
		if err != nil {
			return fmt.Errorf("make an empty image: %w", err)
		}
		g.imported = true
	}
	for _, name := range networks {
		if err := g.makeNetwork(ctx, name); err != nil {
			return fmt.Errorf("make the network %s: %w", name, err)
		}
	}
	return nil
}

func (g *containers) importImage(ctx context.Context) error {
	var files bytes.Buffer
	t := tar.NewWriter(&files)
	if err := errors.Join(t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "bin/", Mode: 0o755}), t.Close()); err != nil {
		return err
	}
	repo, tag, _ := strings.Cut(g.image(), ":")
	query := url.Values{"fromSrc": {"-"}, "repo": {repo}, "tag": {tag}}
	return g.docker.ask(ctx, http.MethodPost, "/images/create?"+query.Encode(), &files, nil)
}
