package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/shoal-p2p/shoal/gateway"
	"github.com/shoal-p2p/shoal/node"
)

// defaultHome is the directory for an application's data on this platform. (os.UserConfigDir is the one for settings.)
func defaultHome(getenv func(string) string) (string, error) {
	unknown := usage("no home directory is known: give one with --home or SHOAL_HOME")
	switch runtime.GOOS {
	case "windows":
		if d := getenv("LocalAppData"); d != "" {
			return filepath.Join(d, "shoal"), nil
		}
		return "", unknown
	case "darwin":
		if d := getenv("HOME"); d != "" {
			return filepath.Join(d, "Library", "Application Support", "shoal"), nil
		}
		return "", unknown
	}
	if d := getenv("XDG_DATA_HOME"); filepath.IsAbs(d) { // the specification has relative ones ignored
		return filepath.Join(d, "shoal"), nil
	}
	if d := getenv("HOME"); d != "" {
		return filepath.Join(d, ".local", "share", "shoal"), nil
	}
	return "", unknown
}

func socketPath(home string) string { return filepath.Join(home, "control.sock") }

// makeHome creates the home, or closes to others one that this user made with the usual permissions.
func makeHome(home string) error {
	const elsewhere = "choose another home with --home or SHOAL_HOME"
	if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
		return &advised{fmt.Errorf("%w: %w", node.ErrDisk, err), elsewhere}
	}
	info, err := os.Stat(home)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case errors.Is(err, os.ErrPermission):
		return foreign(home, err)
	case err != nil:
		return &advised{fmt.Errorf("%w: %w", node.ErrDisk, err), elsewhere}
	case !info.IsDir():
		return usage("the home %s is not a directory", home)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 && info.Mode()&os.ModeSticky == 0:
		_ = os.Chmod(home, 0o700) // if it is not this user's own, the next step says so
	}
	if err := gateway.MakePrivate(home); err != nil {
		return &advised{usage("the home cannot be used: %s", err), elsewhere}
	}
	return nil
}
