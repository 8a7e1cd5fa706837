package testnet

import (
	"os"
	"path/filepath"
	"testing"
)

// TestMain lets the test binary be the program that tests run elsewhere, such as in a namespace: that of its role.
func TestMain(m *testing.M) {
	if role := os.Getenv("SHOAL_TESTNET_ROLE"); role != "" {
		perform(role)
		return
	}
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(filepath.Dir(built))
	}
	os.Exit(code)
}
