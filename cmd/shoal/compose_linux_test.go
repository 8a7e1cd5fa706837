package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/node"
)

// composePatience is how long the containers of a test may take for each step. They share the machine with other tests.
const composePatience = 2 * time.Minute

// composed is a project of docker-compose.yml with an image of its own.
type composed struct {
	t     *testing.T
	tool  []string // docker compose, or docker-compose
	name  string   // of the project and the image
	files []string
	env   []string
}

// compose builds the image and prepares a project, which is removed when the test ends. It skips the test where that cannot be.
func compose(t *testing.T, more string) *composed {
	t.Helper()
	if testing.Short() {
		t.Skip("starts containers")
	}
	lack := func(what string) {
		if os.Getenv("CI") == "true" {
			t.Fatal("in CI this test must run, but " + what)
		}
		t.Skip(what)
	}
	if out, err := exec.Command("docker", "version").CombinedOutput(); err != nil {
		lack("docker does not answer: " + lastLine(string(out)))
	}
	c := &composed{t: t, name: fmt.Sprintf("shoal-test-%d", os.Getpid())}
	switch {
	case exec.Command("docker", "compose", "version").Run() == nil:
		c.tool = []string{"docker", "compose"}
	case exec.Command("docker-compose", "version").Run() == nil:
		c.tool = []string{"docker-compose"}
	default:
		lack("there is neither docker compose nor docker-compose")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	second := filepath.Join(t.TempDir(), "more.yml")
	if err := os.WriteFile(second, []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	c.files = []string{filepath.Join(root, "docker-compose.yml"), second}
	c.env = append(os.Environ(), "SHOAL_IMAGE="+c.name, "SHOAL_SHARE=", "SHOAL_GET=", "SHOAL_NODE=", "SHOAL_SEEDER=", "MAKEFLAGS=")
	t.Cleanup(c.remove)
	c.must("make", "-C", root, "image", "IMAGE="+c.name, "BUILD=CGO_ENABLED=0 go build")
	return c
}

// try runs a program and returns its standard output.
func (c *composed) try(name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = c.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out, &stderr)
	}
	return out, err
}

func (c *composed) must(name string, args ...string) string {
	c.t.Helper()
	out, err := c.try(name, args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// command is one of the compose tool's on this project.
func (c *composed) command(args ...string) []string {
	all := append(slices.Clone(c.tool), "--project-name", c.name)
	for _, f := range c.files {
		all = append(all, "--file", f)
	}
	return append(all, args...)
}

func (c *composed) up(args ...string) {
	c.t.Helper()
	all := c.command(append([]string{"up", "--detach"}, args...)...)
	c.must(all[0], all[1:]...)
}

// left lists what the project has made of one kind: container, network, volume.
func (c *composed) left(kind string) []string {
	args := []string{kind, "ls", "--quiet", "--filter", "label=com.docker.compose.project=" + c.name}
	if kind == "container" {
		args = append(args, "--all")
	}
	return strings.Fields(c.must("docker", args...))
}

// remove removes everything that the test has made, and looks whether that is so.
func (c *composed) remove() {
	volumes := c.left("volume")
	for _, id := range c.left("container") {
		volumes = append(volumes, strings.Fields(c.must("docker", "inspect", "--format", "{{range .Mounts}}{{.Name}} {{end}}", id))...)
		if c.t.Failed() {
			out, _ := exec.Command("docker", "logs", "--tail", "20", "--timestamps", id).CombinedOutput()
			c.t.Logf("%s:\n%s", c.must("docker", "inspect", "--format", "{{.Name}} {{.State.Status}} {{.State.ExitCode}}", id), out)
		}
	}
	down := c.command("down", "--volumes", "--remove-orphans", "--timeout", "5")
	if _, err := c.try(down[0], down[1:]...); err != nil {
		c.t.Error(err)
	}
	if c.must("docker", "images", "--quiet", c.name) != "" {
		c.must("docker", "rmi", c.name)
	}
	left := append(c.left("container"), c.left("network")...)
	for _, v := range volumes {
		if _, err := c.try("docker", "volume", "inspect", v); err == nil {
			left = append(left, v)
		}
	}
	if len(left) > 0 {
		c.t.Errorf("left behind: %q", left)
	}
}

// container is one of a service, counted from 1.
func (c *composed) container(service string, number int) container {
	c.t.Helper()
	label := "label=com.docker.compose."
	id := c.must("docker", "ps", "--all", "--quiet", "--filter", label+"project="+c.name, "--filter", label+"service="+service,
		"--filter", label+fmt.Sprint("container-number=", number))
	if id == "" || strings.ContainsAny(id, " \n") {
		c.t.Fatalf("%s %d is the containers %q", service, number, id)
	}
	return container{c, fmt.Sprintf("%s %d", service, number), id}
}

type container struct {
	*composed
	called string
	id     string
}

// shoal runs a command beside the node, and reads the first object that it prints.
func (k container) shoal(into any, args ...string) error {
	out, err := k.try("docker", append([]string{"exec", k.id, "shoal"}, append(args, "--json")...)...)
	if err != nil {
		return err
	}
	return json.NewDecoder(bytes.NewReader(out)).Decode(into)
}

// midway waits until the node has part of what it fetches, and tells whether it has not got all of it by then.
func (k container) midway() bool {
	k.t.Helper()
	var bytes, total int64
	k.until("part has come", func() bool {
		var s node.Status
		if k.shoal(&s, "status") != nil {
			return false
		}
		for _, t := range s.Transfers {
			bytes, total = t.Bytes, t.Total
		}
		return bytes > 0 || s.Shares > 0
	})
	return bytes > 0 && bytes < total
}

func (k container) until(what string, done func() bool) {
	k.t.Helper()
	for late := time.Now().Add(composePatience); !done(); time.Sleep(100 * time.Millisecond) { // another process: it must be asked
		if time.Now().After(late) {
			k.t.Fatalf("%s: not within %v: %s", k.called, composePatience, what)
		}
	}
}

// sum returns the SHA-256 of a file in the container, or nil while there is none.
func (k container) sum(path string) []byte {
	k.t.Helper()
	out, err := k.try("docker", "cp", k.id+":"+path, "-")
	if err != nil {
		return nil
	}
	r := tar.NewReader(bytes.NewReader(out))
	if _, err := r.Next(); err != nil {
		k.t.Fatal(err)
	}
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		k.t.Fatal(err)
	}
	return h.Sum(nil)
}

// farNetwork is a second network, on which nobody asks by multicast. One node is in both.
const farNetwork = `
x-shoal: &shoal
  image: ${SHOAL_IMAGE}
  read_only: true
  cap_drop: [ALL]
  volumes: [/data]
services:
  door:
    <<: *shoal
    networks: [far]
    command: serve --no-mdns --bootstrapper
  joint:
    <<: *shoal
    networks: [lan, far]
    command: serve --get ${TEST_CID} -o /data --bootstrap ${TEST_DOOR}
  beyond:
    <<: *shoal
    networks: [far]
    command: serve --no-mdns --get ${TEST_CID} -o /data --bootstrap ${TEST_DOOR}
networks:
  far: {}
`

// TestContainers plays what README.md says under "In containers", and a second network beside it. While everybody fetches, one node
// is killed and another one cut off; in the end all have the seeder's bytes.
func TestContainers(t *testing.T) {
	c := compose(t, farNetwork)
	text, err := os.ReadFile(c.files[0])
	if err != nil {
		t.Fatal(err)
	}
	cid := regexp.MustCompile(`SHOAL_GET:-(\w+)`).FindStringSubmatch(string(text))[1]
	c.env = append(c.env, "SHOAL_SEEDER=--up-rate 4M", "TEST_CID="+cid, "TEST_DOOR=")
	c.up("door")
	var door node.Identity
	at := c.container("door", 1)
	at.until("a node answers", func() bool { return at.shoal(&door, "id") == nil })
	c.env = append(c.env, "TEST_DOOR=/dns4/door/tcp/4747/p2p/"+door.ID)

	const nodes = 8
	c.up("--scale", fmt.Sprint("node=", nodes), "--scale", "beyond=2")
	var all, midway []container
	for i := range nodes {
		all = append(all, c.container("node", i+1))
	}
	for _, k := range all {
		if len(midway) < 2 && k.midway() {
			midway = append(midway, k)
		}
	}
	if len(midway) < 2 {
		t.Fatalf("the nodes were done before anything could happen to them: %d caught in mid-transfer", len(midway))
	}
	killed, apart := midway[0], midway[1]
	c.must("docker", "kill", killed.id)
	c.must("docker", "network", "disconnect", c.name+"_lan", apart.id)
	file := "/data/" + cid + "/numbers.txt"
	if killed.sum(file) != nil || apart.sum(file) != nil {
		t.Fatal("the nodes were done before anything could happen to them")
	}
	all = append(all, c.container("joint", 1), c.container("beyond", 1), c.container("beyond", 2))
	want := c.container("seeder", 1).sum("/share/numbers.txt")
	same := func(k container) {
		t.Helper()
		var got []byte
		k.until("all has come", func() bool { got = k.sum(file); return got != nil })
		if !bytes.Equal(got, want) {
			t.Errorf("%s has other bytes than the seeder", k.called)
		}
	}
	for _, k := range all {
		if k != killed && k != apart {
			same(k)
		}
	}
	if killed.sum(file) != nil || apart.sum(file) != nil {
		t.Error("who is dead or cut off has everything")
	}
	c.must("docker", "start", killed.id)
	c.must("docker", "network", "connect", c.name+"_lan", apart.id)
	same(killed)
	same(apart)
	c.foundByDHT(cid)
	c.endsWell(all[2])
}

// foundByDHT looks whether a node beyond hears of the one in both networks from the DHT.
func (c *composed) foundByDHT(cid string) {
	c.t.Helper()
	var joint node.Identity
	if err := c.container("joint", 1).shoal(&joint, "id"); err != nil {
		c.t.Fatal(err)
	}
	beyond := c.container("beyond", 1)
	beyond.until("the DHT names the node that is in both networks", func() bool {
		out, _ := beyond.try("docker", "exec", beyond.id, "shoal", "find", cid, "--json")
		for line := range bytes.Lines(out) {
			var e node.Event
			if json.Unmarshal(line, &e) == nil && e.Peer == joint.ID && e.Route == "dht-lan" {
				return true
			}
		}
		return false
	})
}

// endsWell looks at what Docker thinks of a node, and ends it.
func (c *composed) endsWell(k container) {
	c.t.Helper()
	k.until("healthy", func() bool {
		return c.must("docker", "inspect", "--format", "{{.State.Health.Status}}", k.id) == "healthy"
	})
	c.must("docker", "stop", k.id)
	if exit := c.must("docker", "inspect", "--format", "{{.State.ExitCode}}", k.id); exit != "0" {
		c.t.Errorf("%s ended with %s when it was asked to end", k.called, exit)
	}
}
