//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

const chunk = 1 << 20 // bytes

var megabytes = regexp.MustCompile(`([0-9.]+) MB/s`)

// stream is the bound for a get: a bare libp2p stream with TLS between two processes. In bytes a second.
func (b *bench) stream(ctx context.Context, name string) (float64, error) {
	if b.bareStream == "" {
		b.bareStream = filepath.Join(b.work, "node.test")
		if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", b.bareStream, "./node").CombinedOutput(); err != nil {
			return 0, fmt.Errorf("go test -c ./node: %w: %s", err, out)
		}
	}
	cmd := exec.CommandContext(ctx, b.bareStream, "-test.run=^$", "-test.bench=BareStream/"+name, "-test.benchtime=1x")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("BareStream: %w: %s", err, out)
	}
	match := megabytes.FindSubmatch(out)
	if match == nil {
		return 0, fmt.Errorf("BareStream reports no MB/s: %s", out)
	}
	rate, err := strconv.ParseFloat(string(match[1]), 64)
	return rate * 1e6, err
}

// sshd is an ssh server of our own on loopback, with keys that nobody else has.
type sshd struct {
	cmd *exec.Cmd
	dir string
	ssh string // the command for rsync -e
}

// startSSH returns nil and the reason if this machine has no rsync or ssh.
func (b *bench) startSSH(ctx context.Context) (*sshd, string, error) {
	for _, tool := range []string{"rsync", "ssh", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, "no " + tool + " here", nil
		}
	}
	const daemon = "/usr/sbin/sshd"
	if _, err := os.Stat(daemon); err != nil {
		return nil, "no sshd here", nil
	}
	me, err := user.Current()
	if err != nil {
		return nil, "", err
	}
	if me.Uid == "0" {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where sshd keeps its unprivileged half
			return nil, "", err
		}
	}
	dir, err := os.MkdirTemp(b.work, "ssh.")
	if err != nil {
		return nil, "", err
	}
	for _, key := range []string{"host", "user"} {
		gen := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key))
		if out, err := gen.CombinedOutput(); err != nil {
			return nil, "", fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	port, err := freePort()
	if err != nil {
		return nil, "", err
	}
	config := fmt.Sprintf("ListenAddress 127.0.0.1:%d\nHostKey %s/host\nAuthorizedKeysFile %s/user.pub\nPidFile none\n"+
		"StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n", port, dir, dir)
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600); err != nil {
		return nil, "", err
	}
	s := &sshd{dir: dir, cmd: exec.CommandContext(ctx, daemon, "-D", "-e", "-f", filepath.Join(dir, "config"))}
	s.ssh = fmt.Sprintf("ssh -F none -p %d -l %s -i %s/user -c aes128-gcm@openssh.com -o Compression=no -o BatchMode=yes "+
		"-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR", port, me.Username, dir)
	if err := s.cmd.Start(); err != nil {
		return nil, "", err
	}
	for range 100 {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return s, "", c.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, "", errors.Join(errors.New("sshd does not listen"), s.stop())
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func (s *sshd) stop() error {
	err := s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait() // it ends with the signal
	return errors.Join(err, os.RemoveAll(s.dir))
}

// rsync copies a file or folder over ssh to a place that does not exist yet, and says how long the command took.
func (s *sshd) rsync(ctx context.Context, from, to string) (time.Duration, error) {
	start := time.Now()
	out, err := exec.CommandContext(ctx, "rsync", "-a", "-e", s.ssh, "127.0.0.1:"+from, to).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("rsync: %w: %s", err, out)
	}
	return time.Since(start), err
}
