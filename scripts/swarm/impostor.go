//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/shoal-p2p/shoal/testnet"
)

// impostor is a liar or a staller of package testnet as the measuring process sees it.
type impostor struct {
	*process
	role string
	addr string
}

// impostor starts one on a machine, and lets it share a file.
func (a *arena) impostor(ctx context.Context, m *machine, role, file string) (*impostor, error) {
	home := filepath.Join(a.dir, "home"+m.ip)
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, err
	}
	run, err := m.launch(ctx, a.bench.shoal, "--home", home, testnet.ImpostorVerb, role, "--listen", "/ip4/"+m.ip+"/tcp/0")
	if err != nil {
		return nil, err
	}
	a.other = append(a.other, run)
	i := &impostor{process: run, role: role}
	return i, until(ctx, graceful, "the "+role+" does not answer", func() (bool, error) {
		if !run.running() {
			return false, errors.Join(run.wait(), fmt.Errorf("the %s has ended", role))
		}
		i.addr, err = testnet.Bait(ctx, home, file)
		return err == nil, nil // it may not answer yet
	})
}

// played ends the impostor and fails if nobody wanted anything from it, because then it has disturbed nobody.
func (i *impostor) played() error {
	if err := i.stop(); err != nil {
		return err
	}
	var did testnet.Imposed
	if err := i.answer(&did); err != nil {
		return err
	}
	fmt.Printf("  the %s was asked for %d chunks and sent %d wrong ones\n", i.role, did.Asked, did.Sent)
	if did.Asked == 0 || i.role == testnet.Liar && did.Sent == 0 {
		return fmt.Errorf("nobody took anything from the %s, so the figure does not mean what it says", i.role)
	}
	return nil
}
